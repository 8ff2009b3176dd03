package doctor

import (
	"slices"
	"strings"
)

// A remedy is a sort of trouble that some part of a proxy's configuration mends.
type remedy string

const (
	remedyAddress   remedy = "address"
	remedyBeats     remedy = "heartbeats"
	remedyConfirm   remedy = "confirmation"
	remedyHost      remedy = "host"
	remedyIdle      remedy = "idle"
	remedyPath      remedy = "path"
	remedyProtocol  remedy = "protocol"
	remedyRedirect  remedy = "redirect"
	remedyRequests  remedy = "requests"
	remedyResponses remedy = "responses"
	remedySize      remedy = "size"
	remedyUpgrade   remedy = "upgrade"
)

// everything is what a proxy needs that is new.
var everything = []remedy{
	remedyAddress, remedyBeats, remedyConfirm, remedyHost, remedyIdle, remedyPath, remedyProtocol,
	remedyRedirect, remedyRequests, remedyResponses, remedySize, remedyUpgrade,
}

// A proxy is a program that relays are put behind, and how it has to be told.
type proxy struct {
	name  string
	parts []configPart
	rest  string // about trouble that no line here mends
}

// A configPart is a place in a configuration.
type configPart struct {
	place string // said in a comment
	lines []directive
}

// A directive is one line of a configuration.
type directive struct {
	text  string
	mends []remedy
}

func line(text string, mends ...remedy) directive { return directive{text, mends} }

// proxies are all that the doctor knows to mend. Each configuration was run with
// the program itself; doctor_proxies_test.go does so again.
var proxies = []proxy{
	{"nginx", []configPart{
		{"in the location that leads to the relay", []directive{
			line("proxy_pass http://127.0.0.1:8080;  # without a path, not even a slash: then names arrive as they were written", remedyPath),
			line("proxy_http_version 1.1;  # else there are no heartbeats, streams and WebSockets", remedyProtocol, remedyUpgrade, remedyRequests),
			// A location that sets one header inherits none, so they go together.
			line("proxy_set_header Host $http_host;", remedyHost, remedyAddress, remedyUpgrade, remedyBeats),
			line("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", remedyHost, remedyAddress, remedyUpgrade, remedyBeats),
			line("proxy_set_header Patch-Protocol $http2;  # no heartbeats over HTTP/2, where nginx makes errors of them", remedyHost, remedyAddress, remedyUpgrade, remedyBeats),
			line("proxy_set_header Upgrade $http_upgrade;  # WebSockets", remedyHost, remedyAddress, remedyUpgrade, remedyBeats),
			line("proxy_set_header Connection $http_connection;", remedyHost, remedyAddress, remedyUpgrade, remedyBeats),
			line("proxy_read_timeout 1h;  # a message may pause", remedyIdle),
			line("client_body_timeout 1h;", remedyIdle),
			line("proxy_buffering off;  # what a receiver gets, it gets at once", remedyResponses),
			line("proxy_request_buffering off;  # and the relay what is sent", remedyRequests),
			line("client_max_body_size 0;  # messages have no size", remedySize),
		}},
		{"in the server that listens on port 80", []directive{
			line("return 308 https://$host$request_uri;  # unlike 301, a POST stays one", remedyRedirect),
		}},
	}, ""},
	{"caddy", []configPart{
		{"in the reverse_proxy block of the relay", []directive{
			line("flush_interval -1  # what a receiver gets, it gets at once", remedyResponses),
		}},
		{"in the site's block at http://", []directive{
			line("redir https://{host}{uri} 308  # unlike 301, a POST stays one", remedyRedirect),
		}},
	}, "what else is wrong is not Caddy's default: see what handle_path, rewrite, header_up, request_body and transport change"},
	{"haproxy", []configPart{
		{"in the frontend and the backend of the relay", []directive{
			line("mode tcp  # in mode http HAProxy resets its connections to the relay, and senders hear 502 for messages that have arrived", remedyConfirm),
			line("timeout client 1h  # a message may pause", remedyIdle),
			line("timeout server 1h", remedyIdle),
		}},
		{"in the frontend on port 80, which stays in mode http", []directive{
			line("http-request redirect scheme https code 308  # unlike 301, a POST stays one", remedyRedirect),
		}},
	}, "what else is wrong is not HAProxy's default: see what option and http-request lines change"},
	{"apache", []configPart{
		{"in the virtual host of the relay, with the modules proxy, proxy_http, env and reqtimeout", []directive{
			line("ProxyPass / http://127.0.0.1:8080/ nocanon upgrade=websocket", remedyPath, remedyUpgrade),
			line("AllowEncodedSlashes NoDecode", remedyPath),
			line("ProxyPreserveHost On", remedyHost),
			line("ProxyAddHeaders On", remedyAddress),
			line("Timeout 3600", remedyIdle),
			line("RequestReadTimeout body=0", remedyIdle),
			line("SetEnv proxy-prefetch-nonblocking 1", remedyRequests),
			line("LimitRequestBody 0", remedySize),
		}},
		{"in the virtual host on port 80, with the module rewrite; Redirect would spoil %2F in names", []directive{
			line("AllowEncodedSlashes NoDecode", remedyRedirect),
			line("RewriteEngine On", remedyRedirect),
			line("RewriteRule ^ https://%{HTTP_HOST}%{REQUEST_URI} [R=308,NE,L]", remedyRedirect),
		}},
	}, ""},
}

// ProxyNames are the proxies that the doctor writes configuration for, as --proxy
// takes them.
func ProxyNames() []string {
	var names []string
	for _, p := range proxies {
		names = append(names, p.name)
	}
	return names
}

// proxiesNamed are the one of a name, or all.
func proxiesNamed(name string) []proxy {
	return slices.DeleteFunc(slices.Clone(proxies), func(p proxy) bool { return name != "all" && name != p.name })
}

// config is what of a proxy's configuration these remedies take; "" is nothing.
func (p proxy) config(remedies []remedy) string {
	var b strings.Builder
	for _, part := range p.parts {
		begun := false
		for _, d := range part.lines {
			if !slices.ContainsFunc(d.mends, func(r remedy) bool { return slices.Contains(remedies, r) }) {
				continue
			}
			if !begun {
				b.WriteString("# " + part.place + "\n")
				begun = true
			}
			b.WriteString(d.text + "\n")
		}
	}
	return b.String()
}

// mending is config for trouble that was found, of which some may be none that a
// line mends.
func (p proxy) mending(remedies []remedy) string {
	text := p.config(remedies)
	if p.rest != "" && slices.ContainsFunc(remedies, func(r remedy) bool { return p.config([]remedy{r}) == "" }) {
		text += "# " + p.rest + "\n"
	}
	return text
}
