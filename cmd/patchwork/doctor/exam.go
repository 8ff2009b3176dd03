package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	pacing "golang.org/x/time/rate"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

const (
	// soon is how long the doctor waits for what comes at once where all is well.
	soon = 8 * time.Second
	// longestCheck bounds every check but those of silence.
	longestCheck = 45 * time.Second
)

// An exam is one relay being looked at.
type exam struct {
	cl      *client.Client
	base    *url.URL
	channel string // the beginning of the path of every channel that is used
	http    *http.Client
	pace    *pacing.Limiter // stays below what a relay allows one address
	tls     *tls.Config     // of every connection; shared, never changed once checks run

	idle    time.Duration // 0: silence is not looked at
	body    int           // bytes of the longest message
	sshPort int           // -1: there is none to look at
	sshSaid bool          // the user named it

	server  string // what calls itself the server, by its header
	direct  bool   // nothing stands between here and the relay
	proxied bool   // something does that shows itself
	resets  bool   // it ends its connections to the relay so that nothing is confirmed
}

func newExam(c *cli.Context, cl *client.Client) (*exam, error) {
	e := &exam{
		cl: cl, base: cl.Base, channel: "/p/doctor-" + strings.ToLower(rand.Text()),
		pace: pacing.NewLimiter(8, 12), tls: &tls.Config{MinVersion: tls.VersionTLS12},
		sshPort: 2222, sshSaid: c.IsSet("ssh-port"),
	}
	var err error
	if e.idle, err = cmdline.Positive(c.String("idle")); err != nil {
		return nil, cmdline.Usagef("--idle %q %v", c.String("idle"), err)
	}
	if c.Bool("quick") {
		e.idle = 0
	}
	if e.body, err = cmdline.Size(c.String("body")); err != nil {
		return nil, cmdline.Usagef("--body %q %v", c.String("body"), err)
	}
	if e.sshSaid {
		n, err := cmdline.Port(c.String("ssh-port"))
		if err != nil || n == 0 {
			return nil, cmdline.Usagef("--ssh-port %q is no port, and not -1", c.String("ssh-port"))
		}
		e.sshPort = n
	}
	e.connect()
	return e, nil
}

// connect makes the client anew, after the TLS configuration or the relay's
// address changed.
func (e *exam) connect() {
	e.close()
	e.http = &http.Client{Transport: e.transport(false), CheckRedirect: e.cl.HTTP.CheckRedirect}
}

func (e *exam) close() {
	if e.http != nil {
		e.http.CloseIdleConnections()
	}
}

// transport speaks HTTP/1.1, which scripts do most, or with h2 also HTTP/2.
func (e *exam) transport(h2 bool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.TLSClientConfig = e.tls.Clone()
	t.ExpectContinueTimeout = longestCheck // who expects 100 Continue waits for it
	t.ForceAttemptHTTP2 = h2
	if !h2 {
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return t
}

// checks are all but those of reach and of silence, in their order.
var checks = []struct {
	run      func(*exam, context.Context) []Finding
	messages bool // it takes a message to arrive, and its sender to hear of it
}{
	{(*exam).redirect, false},
	{(*exam).arrival, false},
	{(*exam).confirmation, false},
	{(*exam).http2, true},
	{(*exam).paths, true},
	{(*exam).headers, true},
	{(*exam).expect, true},
	{(*exam).buffering, true},
	{(*exam).websocket, false},
	{(*exam).bodies, true},
	{(*exam).ssh, false},
}

// examine makes all checks and tells of each as soon as it is known, in a fixed
// order. It ends early when ctx does, or when there is no relay.
func (e *exam) examine(ctx context.Context, tell func(Finding)) {
	if !e.reach(ctx, tell) {
		return
	}
	var silent []Finding
	var silence sync.WaitGroup
	if e.idle > 0 {
		silence.Go(func() { silent = e.silence(ctx) })
	}
	for _, check := range checks {
		if check.messages && e.resets {
			continue // what it would find is luck
		}
		within, cancel := context.WithTimeout(ctx, longestCheck)
		for _, f := range check.run(e, within) {
			if ctx.Err() == nil { // what is found while everything is being ended is no finding
				tell(f)
			}
		}
		cancel()
	}
	silence.Wait()
	if ctx.Err() == nil {
		for _, f := range silent {
			if !f.late || !e.resets {
				tell(f)
			}
		}
	}
}

// seenProxy names the proxy that calls itself by a known name, or is known by what
// it does; "" is none.
func (e *exam) seenProxy() string {
	if e.resets && e.server == "" {
		return "haproxy"
	}
	called := strings.ToLower(e.server)
	for _, name := range ProxyNames() {
		if strings.HasPrefix(called, name) {
			return name
		}
	}
	return ""
}
