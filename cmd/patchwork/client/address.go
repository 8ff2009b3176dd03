package client

import (
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/cmdline"
)

// An Origin is where the relay's address was read: the place that advice about it
// names.
type Origin int

// The origins of an address.
const (
	OriginDefault     Origin = iota // nobody said one
	OriginEnvironment               // PATCHWORK_SERVER
	OriginFlag                      // --server
	OriginArgument                  // a word of the command line
)

// look tells the user where to look.
func (o Origin) look() string {
	switch o {
	case OriginFlag:
		return "look at --server"
	case OriginArgument:
		return "look at the URL you gave"
	case OriginDefault:
		return "set PATCHWORK_SERVER to the relay's address"
	}
	return "look at PATCHWORK_SERVER"
}

// use tells the user what to write there.
func (o Origin) use(address string) string {
	switch o {
	case OriginFlag:
		return "say --server " + address
	case OriginArgument:
		return "say " + address
	}
	return "set PATCHWORK_SERVER to " + address
}

// address reads where the relay is. User and password in it are for a proxy.
func address(c *cli.Context) (*url.URL, *url.Userinfo, Origin, error) {
	told, from := "http://localhost:8080", OriginDefault
	if s := os.Getenv("PATCHWORK_SERVER"); s != "" {
		told, from = s, OriginEnvironment
	}
	if s := c.String("server"); s != "" {
		told, from = s, OriginFlag
	}
	whole := told
	if !strings.Contains(whole, "://") {
		whole = "http://" + whole
	}
	base, err := url.Parse(strings.TrimRight(whole, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, nil, from, cmdline.Usagef("the relay's address %q is no http:// or https:// URL; set PATCHWORK_SERVER or --server", told)
	}
	basic := base.User
	base.User, base.RawQuery, base.Fragment = nil, "", "" // it is printed, and part of links
	return base, basic, from, nil
}
