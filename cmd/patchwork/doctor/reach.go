package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// reach looks whether there is a relay, and over what. When it returns false
// there is nothing more to look at.
func (e *exam) reach(ctx context.Context, tell func(Finding)) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*soon)
	defer cancel()
	var certificate *Finding
	for hops := 0; ; hops++ {
		begun := time.Now()
		resp, err := e.ask(ctx, question{method: http.MethodGet, path: "/healthz"})
		if err != nil {
			if bad := badCertificate(err); bad != "" && certificate == nil {
				f := e.wrongCertificate(bad)
				certificate = &f
				continue
			}
			if ctx.Err() == nil || errors.Is(err, context.DeadlineExceeded) {
				tell(bad("relay", "nothing else can be looked at", "%v", e.cl.Explain(context.Background(), err)))
			}
			return false
		}
		took := time.Since(begun)
		resp.Body.Close()
		e.server = resp.Header.Get("Server")
		if to := e.redirected(resp); to != nil && hops == 0 {
			tell(redirectFinding(e.base, to, resp.StatusCode))
			e.base = to
			e.connect()
			continue
		}
		f, ok := e.recognise(ctx, resp.StatusCode, took)
		tell(f)
		if !ok {
			return false
		}
		if certificate == nil {
			f := e.certificate(resp.TLS)
			certificate = &f
		}
		tell(*certificate)
		return true
	}
}

// recognise tells a Patchwork relay from everything else that answers.
func (e *exam) recognise(ctx context.Context, health int, took time.Duration) (Finding, bool) {
	const stop = "nothing else can be looked at"
	via := ""
	if e.server != "" {
		via = ", by way of " + e.server
	}
	switch health {
	case http.StatusOK:
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return bad("relay", "the proxy does not reach the relay, or the relay is going down", "%s answers %d%s", e.base, health, via), false
	default:
		return bad("relay", stop, "%s is no Patchwork relay: /healthz answers %d%s", e.base, health, via), false
	}
	r := e.get(ctx, question{method: http.MethodHead, path: e.channel + "/x"})
	if r.status != http.StatusOK || r.header.Get("Patch-Producers") == "" {
		return bad("relay", stop, "%s is no Patchwork relay: HEAD of a channel is %s, without Patch-Producers%s", e.base, r, via), false
	}
	return good("relay", "%s answers in %s%s", e.base, took.Round(100*time.Microsecond), via), true
}

// redirected returns where a redirect to the same host leads, as a base URL.
func (e *exam) redirected(resp *http.Response) *url.URL {
	to, err := resp.Location()
	if err != nil || resp.StatusCode/100 != 3 || to.Hostname() != e.base.Hostname() || to.Scheme != "http" && to.Scheme != "https" {
		return nil
	}
	to.Path, to.RawPath = strings.TrimSuffix(to.Path, "/healthz"), ""
	to.RawQuery, to.Fragment, to.User = "", "", nil
	if to.String() == e.base.String() {
		return nil // in a circle
	}
	return to
}

// redirectFinding says what a redirect does to those who send.
func redirectFinding(from, to *url.URL, status int) Finding {
	if status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect {
		return good("redirect", "%s leads to %s with %d, which keeps a POST a POST; patchwork itself follows no redirects", from, to, status)
	}
	return warning("redirect", "'curl -L' makes a GET of a POST on that way, and receives where it should send", "%s leads to %s with %d", from, to, status).
		mendedBy(remedyRedirect)
}

// redirect looks at what is at http:// when the relay is at https://.
func (e *exam) redirect(ctx context.Context) []Finding {
	if e.base.Scheme != "https" || e.base.Port() != "" && e.base.Port() != "443" {
		return nil
	}
	plain := *e.base
	plain.Scheme, plain.Host = "http", e.base.Hostname()
	if strings.Contains(plain.Host, ":") {
		plain.Host = "[" + plain.Host + "]"
	}
	return e.plainDoor(ctx, &plain)
}

// plainDoor looks at the same site's address without TLS.
func (e *exam) plainDoor(ctx context.Context, plain *url.URL) []Finding {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	other := *e
	other.base = plain
	resp, err := other.ask(ctx, question{method: http.MethodGet, path: "/healthz"})
	if err != nil {
		return []Finding{good("redirect", "%s is closed", plain)}
	}
	resp.Body.Close()
	if to := other.redirected(resp); to != nil {
		return []Finding{redirectFinding(plain, to, resp.StatusCode)}
	}
	if resp.StatusCode == http.StatusOK {
		return []Finding{warning("redirect", "what is sent there, tokens too, can be read on the way", "%s answers as well, without TLS", plain)}
	}
	return []Finding{good("redirect", "%s answers %d", plain, resp.StatusCode)}
}

// badCertificate says what is wrong with the certificate when that is why a
// request failed.
func badCertificate(err error) string {
	var verify *tls.CertificateVerificationError
	if !errors.As(err, &verify) {
		return ""
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return "its authority is not known here; SSL_CERT_FILE can name it"
	}
	return verify.Err.Error()
}

// wrongCertificate goes on without looking at the certificate, since nothing
// secret is sent.
func (e *exam) wrongCertificate(why string) Finding {
	e.tls = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // see above
	e.connect()
	return bad("certificate", "every client refuses it", "the certificate of %s is not good: %s", e.base.Host, why)
}

func (e *exam) certificate(state *tls.ConnectionState) Finding {
	if state == nil || len(state.PeerCertificates) == 0 {
		if ip := net.ParseIP(e.base.Hostname()); e.base.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return good("certificate", "no TLS, which does no harm on one machine")
		}
		return warning("certificate", "what is sent, tokens too, can be read on the way", "no TLS")
	}
	until := state.PeerCertificates[0].NotAfter
	days := int(time.Until(until).Hours() / 24)
	if days < 14 {
		return warning("certificate", "see why it is not renewed", "it ends in %d days, on %s", days, until.Format(time.DateOnly))
	}
	return good("certificate", "good until %s, %s", until.Format(time.DateOnly), tls.VersionName(state.Version))
}

// http2 has a message go through in HTTP/2, which curl takes wherever it is
// offered.
func (e *exam) http2(ctx context.Context) []Finding {
	if e.base.Scheme != "https" {
		return []Finding{good("http2", "not without TLS: all is HTTP/1.1")}
	}
	t := e.transport(true)
	defer t.CloseIdleConnections()
	via := &http.Client{Transport: t, CheckRedirect: e.http.CheckRedirect}
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	resp, err := e.ask(ctx, question{method: http.MethodGet, path: "/healthz", via: via})
	if err != nil {
		return []Finding{bad("http2", "curl takes HTTP/2 by itself; turn it off until it works", "a request that offers it fails: %s", reply{err: err})}
	}
	resp.Body.Close()
	if resp.ProtoMajor < 2 {
		return []Finding{good("http2", "not offered: all is HTTP/1.1")}
	}
	send, take := posting(e.channel+"/http2", "over HTTP/2"), getting(e.channel+"/http2")
	send.via, take.via = via, via
	sent, got := e.exchange(ctx, send, take)
	if !sent.ok() || !got.ok() || got.text != "over HTTP/2" {
		who, what := trouble(sent, got)
		return []Finding{bad("http2", "curl takes HTTP/2 by itself; turn it off until it works", "a message over it does not arrive: %s got %s", who, what)}
	}
	return []Finding{good("http2", "offered, and messages pass over it")}
}
