package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Why a connection did not come about. Test with errors.Is.
var (
	// ErrRefused: nobody listens at the address.
	ErrRefused = errors.New("connection refused: nothing listens there")
	// ErrTimeout: no answer in time.
	ErrTimeout = errors.New("no answer in time")
	// ErrNotCoterie: something answers that is no Coterie node.
	ErrNotCoterie = errors.New("not a Coterie node's peer address")
	// ErrOtherCluster: the node there belongs to another cluster.
	ErrOtherCluster = errors.New("the node belongs to another cluster")
	// ErrNewerProtocol: the node there speaks only newer versions.
	ErrNewerProtocol = errors.New("the node speaks only newer protocol versions: upgrade this one first")
	// ErrOlderProtocol: the node there speaks only older versions.
	ErrOlderProtocol = errors.New("the node speaks only older protocol versions: upgrade that one first")
	// ErrWrongNode: another node than the one wanted is there.
	ErrWrongNode = errors.New("another node listens at the address")
	// ErrRemoved: the dialing node was removed from the cluster.
	ErrRemoved = errors.New("this node was removed from the cluster")
	// ErrOldIncarnation: a later start of the dialing node, or a later connection
	// of it, has been seen.
	ErrOldIncarnation = errors.New("a later incarnation or connection of this node is known")
	// ErrBusy: the node there has no room for another connection.
	ErrBusy = errors.New("the node is at its connection limit")
)

// Why a connection ended.
var (
	errClosedByPeer = errors.New("connection closed by the peer")
	errReplaced     = errors.New("replaced by a newer connection of the peer")
	errStale        = errors.New("a later incarnation of the peer has been seen")
	errDropped      = errors.New("the peer was dropped")
	errClosing      = errors.New("the transport is closing")
	errNoAddress    = errors.New("no address known")
	errFrame        = errors.New("malformed frame")
	errChecksum     = errors.New("frame with a wrong checksum")
	errTooLarge     = errors.New("message over the size limit")
)

// RemoteError is what the called node's handler answered a Call with.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// dialError gives the failure of a dial its kind.
func dialError(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case isTimeout(err):
		return ErrTimeout
	}
	return err
}

// answerError gives the failure of a handshake its kind.
func answerError(err error) error {
	var record tls.RecordHeaderError
	switch {
	case isTimeout(err):
		return ErrTimeout
	case errors.As(err, &record):
		return fmt.Errorf("%w: it does not speak TLS", ErrNotCoterie)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w: it closed the connection without an answer", ErrNotCoterie)
	}
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// endError gives the end of an established connection its kind.
func endError(err error) error {
	if errors.Is(err, io.EOF) {
		return errClosedByPeer
	}
	return err
}
