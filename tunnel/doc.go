// Package tunnel joins byte streams: outward to TCP, inward from reverse tunnels.
package tunnel
