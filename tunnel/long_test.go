//go:build long

package tunnel

func init() { requests, download = 100_000, 1<<30 }
