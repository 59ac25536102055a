package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A call is one question and one answer on a connection of its own, as
// messages of the class call. A question is its kind and the payload; an
// answer is its status and the payload, or the error's text.
const (
	callDone   = 0
	callFailed = 1
	callBusy   = 2
)

// Call asks the node at addr, of whatever id, one question. cluster, if not
// nil, is the cluster it must belong to. Without a deadline in ctx, it takes
// 30 seconds at most. The error is one of this package's, a *RemoteError with
// the handler's own error, or the network's.
func Call(ctx context.Context, addr string, cluster *[16]byte, kind uint8, payload []byte, cfg *tls.Config) ([]byte, error) {
	h := hello{minVersion: minVersion, maxVersion: maxVersion, purpose: purposeCall}
	if cluster != nil {
		h.cluster = *cluster
	}
	return dialer{dialTCP, cfg}.call(ctx, addr, &h, kind, payload, maxCall)
}

// Call asks a node of the own cluster one question, over the Transport's dialer.
func (t *Transport) Call(ctx context.Context, addr string, kind uint8, payload []byte) ([]byte, error) {
	h := hello{
		minVersion: minVersion, maxVersion: maxVersion, purpose: purposeCall,
		cluster: t.cfg.Cluster, node: t.cfg.Node, incarnation: t.cfg.Incarnation,
	}
	return dialer{t.cfg.Dial, t.cfg.TLS}.call(ctx, addr, &h, kind, payload, t.cfg.Limits.MaxCall)
}

func (d dialer) call(ctx context.Context, addr string, h *hello, kind uint8, payload []byte, limit int) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	conn, _, err := d.open(ctx, addr, h)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	answer, err := ask(conn, append([]byte{kind}, payload...), limit)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
		if isTimeout(err) {
			err = ErrTimeout
		}
	case err != nil:
	case len(answer) == 0 || answer[0] > callBusy:
		err = fmt.Errorf("%w: an answer of unknown status", ErrNewerProtocol)
	case answer[0] == callFailed:
		return nil, &RemoteError{Text: string(answer[1:])}
	case answer[0] == callBusy:
		err = ErrBusy
	default:
		return answer[1:], nil
	}
	return nil, fmt.Errorf("%s: %w", addr, err)
}

func ask(conn net.Conn, question []byte, limit int) ([]byte, error) {
	if err := writeMessage(conn, question); err != nil {
		return nil, endError(err)
	}
	answer, err := readMessage(conn, limit)
	if errors.Is(err, io.EOF) {
		err = errClosedByPeer
	}
	return answer, err
}

// writeMessage writes one message of the class call.
func writeMessage(conn net.Conn, msg []byte) error {
	var q queue
	var b batch
	for q.push(msg); !q.empty(); {
		b.frames = append(b.frames[:0], q.cut(call))
		b.encode(true)
		if err := b.write(conn); err != nil {
			return err
		}
	}
	return nil
}

func readMessage(conn net.Conn, limit int) ([]byte, error) {
	r := newReader(conn, limit+1, func(c Class) bool { return c == call })
	_, msg, err := r.next()
	return msg, err
}

// serveCall answers a call; settled is called when the question is there.
func (t *Transport) serveCall(conn net.Conn, h *hello, settled func()) {
	if status := t.check(h); !t.answer(conn, h, status) {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	question, err := readMessage(conn, t.cfg.Limits.MaxCall)
	if err != nil || len(question) == 0 {
		t.cfg.Logger.Debug("a call without a question", "from", conn.RemoteAddr().String(), "err", err)
		return
	}
	settled()
	answer := t.handleCall(question)
	if answer == nil {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := writeMessage(conn, answer); err != nil {
		t.cfg.Logger.Debug("a call's answer was lost", "to", conn.RemoteAddr().String(), "err", err)
	}
}

// handleCall runs the handler, which may take as long as it likes: Close does
// not wait for it. The result is nil when the transport closes first.
func (t *Transport) handleCall(question []byte) []byte {
	select {
	case t.calls <- struct{}{}:
	default:
		return []byte{callBusy}
	}
	result := make(chan []byte, 1)
	go func() {
		defer func() { <-t.calls }()
		answer, err := t.cfg.Handler.Call(question[0], question[1:])
		if err == nil && len(answer) > t.cfg.Limits.MaxCall {
			err = fmt.Errorf("%w of %d bytes", errTooLarge, t.cfg.Limits.MaxCall)
		}
		if err != nil {
			result <- append([]byte{callFailed}, err.Error()...)
			return
		}
		result <- append([]byte{callDone}, answer...)
	}()
	select {
	case answer := <-result:
		return answer
	case <-t.ctx.Done():
		return nil
	}
}
