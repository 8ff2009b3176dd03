package sshfront

import (
	"context"
	"log/slog"
	"net"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
	"patchwork/sshfront/monitor"
	"patchwork/tunnel"
)

// Config is what a [Server] is made of. Broker and DataDir are required; the zero
// value of everything else is its default.
type Config struct {
	Broker  *broker.Broker
	DataDir string       // the host key is kept here
	Logger  *slog.Logger // nil: nothing is logged

	// Identify says who a client is that proved id and asked for user (what stands
	// before the @). user is a wish, unless id has principals: then it is one of
	// them. It is asked at the start of every session, so that a connection that
	// lives long does not outlive its rights. nil: every key is [KeyCaller], every
	// certificate [UserCaller].
	Identify func(ctx context.Context, id Identity, user string) (Caller, error)
	// TrustedCAs are the authorities whose user certificates are believed; see
	// [ReadCAs].
	TrustedCAs []gossh.PublicKey
	// Closed leaves only public topics to each [KeyCaller].
	Closed bool

	// SignToken makes a token for c's namespace that may receive and send what
	// the patterns say, and no more than c may. Its errors are told to the client
	// as they are if they wrap [ErrToken]. nil: there are no tokens.
	SignToken func(ctx context.Context, c Caller, get, post []string, ttl time.Duration) (string, error)

	// Notify sends text through the notification services of a user. Its errors
	// are one plain line each, for the client. nil: there are none.
	Notify func(ctx context.Context, user string, n Notification) error

	// Monitors keeps the monitors of topics. It is the caller's to close, after
	// the server was shut down. nil: there are none. WebURL is where the other
	// door is, for the addresses of feeds and tunnels: "https://host".
	Monitors *monitor.Store
	WebURL   string

	// MayForward says whether c may connect to HOST:PORT through the relay, with ssh
	// -W, -L and -J. It is asked for each connection. Dial connects, and is where
	// the egress policy is held to. Errors of both are one plain line each, for the
	// client. nil, either of them: nobody forwards anything.
	MayForward func(ctx context.Context, c Caller, hostPort string) error
	Dial       func(ctx context.Context, network, address string) (net.Conn, error)

	// MayTunnel says whether c may publish a web server under a prefix, with ssh -R
	// PREFIX:80:HOST:PORT, and as which identity: the same one may take the prefix
	// over. Its errors are one plain line each, for the client. It has 10 s. Tunnels
	// is where prefixes are published. nil, either of them: nobody publishes
	// anything.
	MayTunnel func(ctx context.Context, c Caller, prefix string) (identity string, err error)
	Tunnels   *tunnel.Registry

	// PublicHost and PublicPort stand in the examples that clients are shown.
	// Empty: the address the client connected to, as this machine sees it.
	PublicHost string
	PublicPort int

	MaxConns           int           // connections of one address: 1000
	MaxSessions        int           // sessions and forwards of one connection, and again as many visitors of what it publishes: 100
	MaxUnauthenticated int           // connections of all that have not authenticated yet: 100
	EarlyDrop          int           // so many of those, and some new ones are turned away at random: half of MaxUnauthenticated
	MaxFailedKeys      int           // connections of one address that end without a key proven, in ten minutes: 100
	HandshakeTimeout   time.Duration // for all of key exchange and authentication: 20 s
	Keepalive          time.Duration // between questions whether a client is there: 15 s
	DeadAfter          time.Duration // without a byte from it after such a question: 25 s
	WriteTimeout       time.Duration // for one write to a connection that makes no progress: 60 s
	StallGrace         time.Duration // for a subscriber that was cut off to read why: 10 s

	// AnyCipher offers clients chacha20-poly1305 even where AES-GCM is twice as
	// fast. The client's preference decides among what is offered, and OpenSSH
	// prefers chacha20.
	AnyCipher bool
}

func (c *Config) setDefaults() {
	number := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	duration := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	number(&c.MaxConns, 1000)
	number(&c.MaxSessions, 100)
	number(&c.MaxUnauthenticated, 100)
	number(&c.EarlyDrop, (c.MaxUnauthenticated+1)/2)
	number(&c.MaxFailedKeys, 100)
	duration(&c.HandshakeTimeout, 20*time.Second)
	duration(&c.Keepalive, 15*time.Second)
	duration(&c.DeadAfter, 25*time.Second)
	duration(&c.WriteTimeout, time.Minute)
	duration(&c.StallGrace, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Identify == nil {
		c.Identify = defaultCaller
	}
}
