package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// The long tail: services by the URL form of github.com/nicholas-fedor/shoutrrr.
var shoutrrrBackend = backend{
	name:   "shoutrrr",
	fields: []field{{name: "url", kind: anyURL, required: true, secret: true}},
	open: func(v values) (courier, error) {
		s := shout{v.text("url")}
		if _, _, err := s.service(nil); err != nil {
			return nil, &fieldError{"url", newRedactor([]string{s.url}).text(oneLine(err.Error()))}
		}
		return s, nil
	},
}

// shout makes its service anew for each message: it is a parsed URL and no more,
// and what a message sets in it is gone with it.
type shout struct{ url string }

// instead names the own backend for schemes of the library that are not taken
// from it.
var instead = map[string]string{"discord": "discord", "matrix": "matrix", "smtp": "mail"}

// service is the library's part for the URL, with all its HTTP in our hands. The
// library fails with the URL in its errors; only the reason is passed on.
func (s shout) service(client types.HTTPClient) (service types.Service, titled bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("is not a URL the shoutrrr library can read")
		}
	}()
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, false, errors.New("is not a URL")
	}
	scheme, custom, isCustom := strings.Cut(strings.ToLower(u.Scheme), "+")
	known, ok := longTail[scheme]
	switch own := instead[scheme]; {
	case own != "":
		return nil, false, fmt.Errorf("%s:// has a type of its own: use type: %s", scheme, own)
	case !ok:
		return nil, false, fmt.Errorf("unknown service %q; one of %s", clip(scheme, 40), strings.Join(slices.Sorted(maps.Keys(longTail)), ", "))
	}
	service = known.make()
	if isCustom {
		converter, ok := service.(types.CustomURLService)
		if !ok || custom == "" {
			return nil, false, fmt.Errorf("%s takes no address of this form", scheme)
		}
		if u, err = converter.GetServiceURLFromCustom(u); err != nil {
			return nil, false, fmt.Errorf("%s: %w", scheme, err)
		}
	}
	if err := service.Initialize(u, nil); err != nil {
		return nil, false, fmt.Errorf("%s: %w", scheme, err)
	}
	setter, ok := service.(types.HTTPClientSetter)
	if !ok {
		return nil, false, fmt.Errorf("%s cannot be held to the egress policy", scheme)
	}
	if client != nil {
		setter.SetHTTPClient(client)
	}
	return service, known.titled, nil
}

// deliver runs in the caller's goroutine, though the library takes no context:
// all it ever waits for is the client, and that ends with ctx.
func (s shout) deliver(ctx context.Context, w *wire, p *parcel) error {
	client := &shoutClient{ctx: ctx, wire: w}
	service, titled, err := s.service(client)
	if err != nil {
		return err
	}
	text, params := p.plain(), types.Params{}
	switch {
	case p.Title == "":
	case titled:
		params.SetTitle(p.Title)
	default:
		text = p.titled(text)
	}
	if sender, ok := service.(types.ContextSender); ok {
		err = sender.SendContext(ctx, text, &params)
	} else {
		err = service.Send(text, &params)
	}
	if client.err != nil {
		return client.err // as it was before the library wrote URLs into it
	}
	return err
}

// shoutClient is the http.Client of one message. It holds the library to the
// dialer, the deadline, the retries and the limits of everybody else.
type shoutClient struct {
	ctx  context.Context // the library's own is cut off from the message's
	wire *wire
	err  error // the last call's
}

func (c *shoutClient) Do(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		defer req.Body.Close()
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	a, err := c.wire.do(c.ctx, call{method: req.Method, url: req.URL.String(), header: req.Header, body: body})
	if c.err = err; err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: req,
	}, nil
}
