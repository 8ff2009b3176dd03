package httpfront

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp looks at a connection's socket, without reading from it or waiting:
// true when the peer has closed it. It also sees a close behind bytes that
// nobody has read yet, which reading would not.
func hungUp(c net.Conn) bool {
	gone := false
	control(c, func(fd int) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		const established, synRecv = 1, 3 // TCP_ESTABLISHED, TCP_SYN_RECV of linux/tcp_states.h
		gone = info.State != established && info.State != synRecv
	})
	return gone
}

// unread returns how many bytes the peer sent that nobody has read.
func unread(c net.Conn) (n int) {
	control(c, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCINQ) })
	return n
}

// unsent returns how many bytes were written that the peer's system has not
// acknowledged.
func unsent(c net.Conn) (n int) {
	control(c, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
	return n
}

func control(c net.Conn, f func(fd int)) {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = wrapped.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { f(int(fd)) }) //nolint:errcheck // a closed socket answers nothing, as f does
}
