package main

import (
	"slices"
	"strings"
)

// A remedy is a sort of trouble that some part of a proxy's configuration mends.
type remedy string

const (
	remedyProtocol  remedy = "protocol"
	remedyHost      remedy = "host"
	remedyAddress   remedy = "address"
	remedyUpgrade   remedy = "upgrade"
	remedyPath      remedy = "path"
	remedyIdle      remedy = "idle"
	remedyResponses remedy = "responses"
	remedyRequests  remedy = "requests"
	remedySize      remedy = "size"
	remedyRedirect  remedy = "redirect"
)

func everyRemedy() []remedy {
	return []remedy{
		remedyProtocol, remedyHost, remedyAddress, remedyUpgrade, remedyPath, remedyIdle, remedyResponses, remedyRequests, remedySize, remedyRedirect,
	}
}

// A directive is one line of a proxy's configuration and what it mends.
type directive struct {
	mends []remedy
	text  string
}

// A proxy is a program that relays are put behind, and how it has to be told.
type proxy struct {
	name  string
	parts []configPart
}

// A configPart is a place in a configuration.
type configPart struct {
	place string // as a comment
	lines []directive
}

func proxyNames() []string {
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

var heads = []remedy{remedyHost, remedyAddress, remedyUpgrade}

var proxies = []proxy{
	{"nginx", []configPart{
		{"in the location that leads to the relay", []directive{
			{[]remedy{remedyPath}, "proxy_pass http://127.0.0.1:8080;"},
			{[]remedy{remedyProtocol, remedyUpgrade, remedyRequests}, "proxy_http_version 1.1;"},
			{heads, "proxy_set_header Host $http_host;"},
			{heads, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"},
			{heads, "proxy_set_header Upgrade $http_upgrade;"},
			{heads, "proxy_set_header Connection $http_connection;"},
			{[]remedy{remedyIdle}, "proxy_read_timeout 1h;"},
			{[]remedy{remedyIdle}, "proxy_send_timeout 1h;"},
			{[]remedy{remedyIdle}, "client_body_timeout 1h;"},
			{[]remedy{remedyResponses}, "proxy_buffering off;"},
			{[]remedy{remedyRequests}, "proxy_request_buffering off;"},
			{[]remedy{remedySize}, "client_max_body_size 0;"},
		}},
	}},
}
