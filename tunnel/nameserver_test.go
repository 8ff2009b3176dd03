package tunnel

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// hostOf is a name of the test name server for an address.
func hostOf(addr string) string {
	return strings.NewReplacer(":", "-", ".", "-", "%", "-").Replace("at-"+addr) + "-x.test"
}

// nameServer is a resolver that knows these names and addresses, and no other.
func nameServer(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	return answering(t, func(q dnsmessage.Question, m *dnsmessage.Message) {
		known, ok := names[strings.TrimSuffix(q.Name.String(), ".")]
		if !ok {
			m.RCode = dnsmessage.RCodeNameError
			return
		}
		for _, k := range known {
			addr := netip.MustParseAddr(k)
			h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
			switch {
			case q.Type == dnsmessage.TypeA && addr.Is4():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
			case q.Type == dnsmessage.TypeAAAA && addr.Is6():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
			}
		}
	})
}

// silentNameServer is a resolver that never answers.
func silentNameServer(t *testing.T) *net.Resolver { return answering(t, nil) }

func answering(t *testing.T, answer func(dnsmessage.Question, *dnsmessage.Message)) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 4096); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if answer == nil || m.Unpack(b[:n]) != nil {
				continue
			}
			m.Response, m.Additionals = true, nil
			answer(m.Questions[0], &m)
			if out, err := m.Pack(); err == nil {
				server.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}
