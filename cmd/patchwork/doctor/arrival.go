package doctor

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// An arrival is how a request came to the relay, as /_/whoami tells, and from
// where it left.
type arrival struct {
	Address   string    `json:"address"`
	Port      int       `json:"port"`
	Forwarded bool      `json:"forwarded"`
	Trusted   bool      `json:"trusted"`
	TrustsYou bool      `json:"trusts_you"`
	Protocol  string    `json:"protocol"`
	Host      string    `json:"host"`
	Time      time.Time `json:"time"`

	left, to    *net.TCPAddr // the connection here
	asked, told time.Time
}

// pretended is an address of nobody (RFC 5737), as a client would write it that
// wants to be taken for another.
const pretended = "192.0.2.55"

// whoami asks how requests arrive. ok is false when the relay does not know the
// question.
func (e *exam) whoami(ctx context.Context, forwarded string) (a arrival, ok bool, err error) {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		a.left, _ = info.Conn.LocalAddr().(*net.TCPAddr)
		a.to, _ = info.Conn.RemoteAddr().(*net.TCPAddr)
	}}
	q := question{method: http.MethodGet, path: "/_/whoami", header: http.Header{}}
	if forwarded != "" {
		q.header.Set("X-Forwarded-For", forwarded)
	}
	a.asked = time.Now()
	r := e.get(httptrace.WithClientTrace(ctx, trace), q)
	a.told = time.Now()
	if r.err != nil {
		return a, false, r.err
	}
	return a, r.status == http.StatusOK && json.Unmarshal([]byte(r.text), &a) == nil && a.Protocol != "", nil
}

// arrival looks at what the relay gets of a request: clock, address, protocol and
// host.
func (e *exam) arrival(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	a, ok, err := e.whoami(ctx, "")
	if err != nil {
		return []Finding{bad("address", "it cannot be seen how requests arrive", "asking /_/whoami: %s", reply{err: err})}
	}
	if !ok {
		return []Finding{warning("address", "behind a proxy, see in its log that the addresses of clients are right", "the relay does not know /_/whoami: it is older than this program, or the path is not passed on")}
	}
	e.direct = !a.Forwarded && a.left != nil && a.Port == a.left.Port
	e.proxied = !e.direct && (a.Forwarded || e.server != "" || a.Protocol == "HTTP/1.0" || !e.sameHost(a.Host))
	findings := []Finding{a.clock()}
	if e.direct {
		findings = append(findings, good("address", "%s, and nothing between you and the relay", a.Address))
	} else {
		findings = append(findings, e.address(ctx, a))
	}
	if a.Protocol == "HTTP/1.0" {
		findings = append(findings, bad("protocol", "it gets no heartbeats, streams and WebSockets do not pass", "the proxy asks the relay in HTTP/1.0").mendedBy(remedyProtocol))
	} else {
		findings = append(findings, good("protocol", "%s to the relay", a.Protocol))
	}
	if !e.sameHost(a.Host) {
		return append(findings, warning("host", "tunnels with hosts of their own (--tunnel-host) are not found", "the relay is asked for %q, not for %q", a.Host, e.base.Host).mendedBy(remedyHost))
	}
	return append(findings, good("host", "%s, as you asked for it", a.Host))
}

// sameHost compares the host that arrived with the one that was asked for, whose
// port may be left out where it is the scheme's own.
func (e *exam) sameHost(arrived string) bool {
	bare := func(host string) string {
		return strings.TrimSuffix(strings.ToLower(host), map[string]string{"http": ":80", "https": ":443"}[e.base.Scheme])
	}
	return bare(arrived) == bare(e.base.Host)
}

// address judges whom the relay takes a client for.
func (e *exam) address(ctx context.Context, a arrival) Finding {
	const shared = "all clients share one rate limit and one address in the log"
	if a.Trusted && !a.TrustsYou { // else what it writes itself is not believed, or has to be
		b, ok, err := e.whoami(ctx, pretended)
		if err == nil && ok && b.Address == pretended {
			return bad("address", "whoever writes addresses into X-Forwarded-For has no rate limit", "the proxy lets clients say who they are").mendedBy(remedyAddress)
		}
	}
	f := Finding{Check: "address", Verdict: VerdictFail, Means: shared}
	if !a.Trusted {
		f.Flag = "--trusted-proxies " + a.Address
	}
	switch {
	case a.Forwarded && !a.Trusted:
		f.Seen = "the relay counts you as " + a.Address + ", which is the proxy: it does not believe its X-Forwarded-For"
		return f
	case a.Forwarded && a.TrustsYou:
		return good("address", "%s, which is a trusted proxy itself", a.Address)
	case a.Forwarded:
		return good("address", "%s, as the proxy says, and no client can say otherwise", a.Address)
	case e.proxied:
		f.Seen = "the relay counts you as " + a.Address + ": the proxy does not say in X-Forwarded-For who you are"
		return f.mendedBy(remedyAddress)
	case a.untranslated():
		return warning("address", "if it does so for all, "+shared, "the relay counts you as %s, but your connection does not end there: something in between does not say who you are", a.Address)
	}
	return good("address", "%s, and no sign of a proxy", a.Address)
}

// untranslated tells whether no router can have changed the address on the way: from
// a public address, and from one network of private ones into the same.
func (a arrival) untranslated() bool {
	if a.left == nil || a.to == nil {
		return false
	}
	private := func(ip net.IP) bool { return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() }
	return !private(a.left.IP) || private(a.to.IP)
}

// clock compares the relay's clock with the one here, as exactly as the way there
// and back allows.
func (a arrival) clock() Finding {
	off := time.Duration(0)
	switch {
	case a.Time.Before(a.asked):
		off = a.asked.Sub(a.Time)
	case a.Time.After(a.told):
		off = a.Time.Sub(a.told)
	}
	const means = "tokens end sooner or later than they say; one of the two needs the right time"
	switch seen := off.Round(time.Millisecond); {
	case off > time.Minute:
		return bad("clock", means, "the relay's and this machine's are %s apart", seen)
	case off > 5*time.Second:
		return warning("clock", means, "the relay's and this machine's are %s apart", seen)
	default:
		return good("clock", "the relay's and this machine's are less than %s apart", (seen + 100*time.Millisecond).Round(100*time.Millisecond))
	}
}
