package transport

import (
	"crypto/tls"
	"net"
)

// tuneSocket bounds a connection's buffers and has a vanished host noticed.
func tuneSocket(conn net.Conn) {
	tcp := tcpOf(conn)
	if tcp == nil {
		return
	}
	_ = tcp.SetWriteBuffer(socketBuffer)
	_ = tcp.SetReadBuffer(socketBuffer)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount,
	})
	setUnackedTimeout(tcp, unackedTimeout)
}

// tcpOf is the TCP connection under conn, nil if there is none to be seen.
func tcpOf(conn net.Conn) *net.TCPConn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}
