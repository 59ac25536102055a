package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"coterie/internal/base"
)

// The handshake: the dialer sends a hello, the acceptor answers with a
// welcome, which may be a refusal. Both are a magic, a length, and that many
// bytes, the last four of them a CRC-32C of all before. A later version may add
// fields behind the known ones, which this one skips; what is here stays.
//
//	hello                               welcome
//	0  "COTERIE\n"                      0  "coterie\r"
//	8  length u16 of what follows       8  length u16 of what follows
//	10 lowest version u8                10 status u8
//	11 highest version u8               11 version u8, the one to be spoken
//	12 purpose u8                       12 lowest version u8
//	13 zero u8                          13 highest version u8
//	14 cluster [16]                     14 cluster [16]
//	30 node u64                         30 node u64
//	38 incarnation u64                  38 incarnation u64
//	46 destination u64                  46 checksum u32
//	54 attempt u64
//	62 checksum u32
//
// The attempt counts the dialer's connections in one incarnation, so that one
// given up long ago, and served late, does not displace the one in use.
//
// The hello's magic ends in a newline so that a server of a text protocol
// (HTTP, Redis) answers it at once, and the welcome's differs so that an echo
// is not taken for one.
const (
	helloMagic   = "COTERIE\n"
	welcomeMagic = "coterie\r"

	prefixBytes  = len(helloMagic) + 2
	helloBytes   = 66
	welcomeBytes = 50
	maxHandshake = 1024 // bytes behind the prefix, in any version

	minVersion = 1
	maxVersion = 1
)

// What a connection is for.
const (
	purposePeer = 1
	purposeCall = 2
)

// The status of a welcome.
const (
	statusWelcome = iota
	statusOtherCluster
	statusNoVersion
	statusWrongNode
	statusRemoved
	statusOldIncarnation
	statusSameNode
	statusBusy
)

type hello struct {
	minVersion, maxVersion uint8
	purpose                uint8
	cluster                [16]byte // zero: any, for a call
	node                   base.NodeID
	incarnation            uint64
	destination            base.NodeID // zero: whoever is there
	attempt                uint64
}

type welcome struct {
	status                 uint8
	version                uint8
	minVersion, maxVersion uint8
	cluster                [16]byte
	node                   base.NodeID
	incarnation            uint64
}

func (h *hello) encode() []byte {
	b := append(make([]byte, 0, helloBytes), helloMagic...)
	b = binary.BigEndian.AppendUint16(b, helloBytes-uint16(prefixBytes))
	b = append(b, h.minVersion, h.maxVersion, h.purpose, 0)
	b = append(b, h.cluster[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.node))
	b = binary.BigEndian.AppendUint64(b, h.incarnation)
	b = binary.BigEndian.AppendUint64(b, uint64(h.destination))
	b = binary.BigEndian.AppendUint64(b, h.attempt)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (w *welcome) encode() []byte {
	b := append(make([]byte, 0, welcomeBytes), welcomeMagic...)
	b = binary.BigEndian.AppendUint16(b, welcomeBytes-uint16(prefixBytes))
	b = append(b, w.status, w.version, w.minVersion, w.maxVersion)
	b = append(b, w.cluster[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(w.node))
	b = binary.BigEndian.AppendUint64(b, w.incarnation)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readHandshake reads a hello or a welcome and gives its bytes behind the
// prefix, checked, without the checksum.
func readHandshake(src io.Reader, magic string, known int) ([]byte, error) {
	buf := make([]byte, prefixBytes, 64)
	if n, err := io.ReadFull(src, buf); err != nil {
		// Whoever answers with less than a prefix shows by it what it is, too.
		if n > 0 && !bytes.HasPrefix([]byte(magic), buf[:min(n, len(magic))]) {
			return nil, stranger(buf[:n])
		}
		return nil, err
	}
	if string(buf[:len(magic)]) != magic {
		return nil, stranger(buf)
	}
	size := int(binary.BigEndian.Uint16(buf[len(magic):]))
	if size < known-prefixBytes || size > maxHandshake {
		return nil, fmt.Errorf("%w: a handshake of %d bytes", ErrNotCoterie, size)
	}
	buf = append(buf, make([]byte, size)...)
	if _, err := io.ReadFull(src, buf[prefixBytes:]); err != nil {
		return nil, err
	}
	end := len(buf) - 4
	if crc32.Checksum(buf[:end], castagnoli) != binary.BigEndian.Uint32(buf[end:]) {
		return nil, fmt.Errorf("%w: a handshake with a wrong checksum", ErrNotCoterie)
	}
	return buf[prefixBytes:end], nil
}

// stranger says what probably sent the first bytes of a connection.
func stranger(b []byte) error {
	what := fmt.Sprintf("it sent %q", b)
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")):
		what = "an HTTP server answers there"
	case bytes.HasPrefix(b, []byte("-")):
		what = "a Redis server answers there"
	case len(b) > 1 && b[1] == 3 && (b[0] == 0x15 || b[0] == 0x16):
		what = "it speaks TLS"
	case bytes.HasPrefix(b, []byte(helloMagic)):
		what = "it sends back what it gets"
	}
	return fmt.Errorf("%w: %s", ErrNotCoterie, what)
}

func readHello(src io.Reader) (hello, error) {
	b, err := readHandshake(src, helloMagic, helloBytes)
	if err != nil {
		return hello{}, err
	}
	h := hello{minVersion: b[0], maxVersion: b[1], purpose: b[2]}
	copy(h.cluster[:], b[4:])
	h.node = base.NodeID(binary.BigEndian.Uint64(b[20:]))
	h.incarnation = binary.BigEndian.Uint64(b[28:])
	h.destination = base.NodeID(binary.BigEndian.Uint64(b[36:]))
	h.attempt = binary.BigEndian.Uint64(b[44:])
	return h, nil
}

func readWelcome(src io.Reader) (welcome, error) {
	b, err := readHandshake(src, welcomeMagic, welcomeBytes)
	if err != nil {
		return welcome{}, err
	}
	w := welcome{status: b[0], version: b[1], minVersion: b[2], maxVersion: b[3]}
	copy(w.cluster[:], b[4:])
	w.node = base.NodeID(binary.BigEndian.Uint64(b[20:]))
	w.incarnation = binary.BigEndian.Uint64(b[28:])
	return w, nil
}

// refusal is the dialer's error for a welcome to its hello; nil if it is one.
func (w *welcome) refusal(h *hello) error {
	switch {
	case w.status == statusNoVersion || w.status == statusWelcome && (w.version < h.minVersion || w.version > h.maxVersion):
		kind := ErrOlderProtocol
		if w.minVersion > h.maxVersion {
			kind = ErrNewerProtocol
		}
		return fmt.Errorf("%w (it speaks %d to %d, this one %d to %d)", kind, w.minVersion, w.maxVersion, h.minVersion, h.maxVersion)
	case w.status == statusOtherCluster || h.cluster != [16]byte{} && w.cluster != h.cluster:
		return fmt.Errorf("%w (%s, not %s)", ErrOtherCluster, hex.EncodeToString(w.cluster[:]), hex.EncodeToString(h.cluster[:]))
	case w.status == statusWrongNode || h.destination != 0 && w.node != h.destination:
		return fmt.Errorf("%w (node %d, not %d)", ErrWrongNode, w.node, h.destination)
	case w.status == statusRemoved:
		return ErrRemoved
	case w.status == statusOldIncarnation:
		return ErrOldIncarnation
	case w.status == statusSameNode:
		return fmt.Errorf("%w: it has this node's own id %d", ErrWrongNode, w.node)
	case w.status == statusBusy:
		return ErrBusy
	case w.status != statusWelcome:
		return fmt.Errorf("%w: it refuses with the unknown status %d", ErrNewerProtocol, w.status)
	}
	return nil
}

// dialer opens connections and introduces itself on them.
type dialer struct {
	dial func(context.Context, string) (net.Conn, error)
	tls  *tls.Config
}

// open dials addr and shakes hands. The connection has no deadline then.
func (d dialer) open(ctx context.Context, addr string, h *hello) (net.Conn, welcome, error) {
	fail := func(err error) (net.Conn, welcome, error) {
		return nil, welcome{}, fmt.Errorf("%s: %w", addr, err)
	}
	dctx, cancel := context.WithTimeout(ctx, connectTimeout)
	conn, err := d.dial(dctx, addr)
	cancel()
	if err != nil {
		return fail(dialError(err))
	}
	tuneSocket(conn)
	deadline := time.Now().Add(handshakeTimeout)
	if at, ok := ctx.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	_ = conn.SetDeadline(deadline)
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if d.tls != nil {
		conn = tls.Client(conn, clientTLS(d.tls, addr))
	}
	w, err := introduce(conn, h)
	switch {
	case ctx.Err() != nil: // the deadline of ctx, or its end, closed the connection
		err = ctx.Err()
		if isTimeout(err) {
			err = ErrTimeout
		}
	case err == nil:
		err = w.refusal(h)
	}
	if err != nil {
		_ = raw.Close()
		return fail(err)
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, w, nil
}

func introduce(conn net.Conn, h *hello) (welcome, error) {
	if _, err := conn.Write(h.encode()); err != nil {
		return welcome{}, answerError(err)
	}
	w, err := readWelcome(conn)
	if err != nil {
		return w, answerError(err)
	}
	return w, nil
}

// clientTLS names the server that is dialed, unless the configuration does.
func clientTLS(cfg *tls.Config, addr string) *tls.Config {
	if cfg.ServerName != "" {
		return cfg
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	cfg = cfg.Clone()
	cfg.ServerName = host
	return cfg
}
