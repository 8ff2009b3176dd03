package httpfront

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

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

// settled waits until a connection that both sides have ended is over, and
// returns an error if the peer reset it: what was written then arrived after the
// peer's close, and nobody has read it. The peer's system answers for that by
// itself, so this takes no longer than a round trip; limit is for lost packets.
func settled(c net.Conn, limit time.Duration) (err error) {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = wrapped.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, rawErr := sc.SyscallConn()
	if rawErr != nil {
		return rawErr
	}
	over := func(fd uintptr) bool {
		info, infoErr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		const closed = 7 // TCP_CLOSE of linux/tcp_states.h
		if infoErr == nil && info.State != closed {
			return false
		}
		if code, codeErr := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); codeErr == nil && code != 0 {
			err = syscall.Errno(code)
		}
		return true
	}
	for end := time.Now().Add(limit); ; {
		c.SetReadDeadline(end) //nolint:errcheck // the read says it
		waited := raw.Read(over)
		switch {
		case waited == nil:
			return err
		case !errors.Is(waited, os.ErrDeadlineExceeded) || time.Now().After(end):
			return waited
		}
		// Somebody else's deadline, set when the client's close was seen.
	}
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
