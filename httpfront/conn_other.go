//go:build !linux

package httpfront

import (
	"net"
	"time"
)

// Elsewhere than on Linux a dead peer is noticed by reading and writing only.
func hungUp(net.Conn) bool { return false }
func unread(net.Conn) int  { return 0 }
func unsent(net.Conn) int  { return 0 }

// settled believes a clean close.
func settled(net.Conn, time.Duration) error { return nil }
