//go:build !linux

package redisfront

import "net"

// rawConn exists on Linux only; elsewhere every connection goes through the
// runtime.
type rawConn struct{}

func openRaw(net.Conn) *rawConn { return nil }

type rawResult uint8

const (
	rawOK rawResult = iota
	rawAgain
	rawFailed
)

func (*rawConn) Read(func(uintptr) bool) error { return nil }
func (*rawConn) read([]byte) (int, rawResult)  { return 0, rawFailed }
func (*rawConn) write([]byte) (int, rawResult) { return 0, rawFailed }
func (*rawConn) shutdown()                     {}
