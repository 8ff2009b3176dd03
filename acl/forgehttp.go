package acl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// forgeTimeout is how long one answer of the forge may take, body and all.
const forgeTimeout = 10 * time.Second

// forgeParallel is how many connections the forge sees at most.
const forgeParallel = 16

func forgeClient(base *url.URL) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: forgeTimeout / 2}).DialContext,
			TLSHandshakeTimeout:    forgeTimeout / 2,
			MaxConnsPerHost:        forgeParallel,
			MaxIdleConnsPerHost:    forgeParallel,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        90 * time.Second,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a small answer must not grow
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			// The header with the token goes along with a redirect to the same host.
			if r.URL.Scheme != base.Scheme || r.URL.Host != base.Host {
				return errElsewhere
			}
			if len(via) > 3 {
				return errors.New("too many redirects")
			}
			return nil
		},
	}
}

var errElsewhere = errors.New("it redirects to another address: set FORGEJO_URL to the one it should be")

// An answer of the forge: at most one byte more than MaxDocument of its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// mustBe tells what another status than the wanted one means.
func (a answer) mustBe(status int) error {
	switch a.status {
	case status:
		return nil
	case http.StatusNotFound:
		return ErrNoUser
	case http.StatusUnauthorized:
		return errors.New("the forge does not know our token (401): make a new one and set FORGEJO_TOKEN")
	case http.StatusForbidden:
		return errors.New("the forge refuses our token (403): it needs read:repository and read:user")
	case http.StatusTooManyRequests:
		return errors.New("the forge has had enough of us (429)")
	}
	return fmt.Errorf("the forge answered %d", a.status)
}

// get asks the API. Its errors name neither the URL nor a header.
func (f *Forgejo) get(ctx context.Context, header http.Header, query url.Values, path ...string) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, forgeTimeout, errSlowForge)
	defer cancel()
	u := f.base.JoinPath(append([]string{"api", "v1"}, path...)...)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, errors.New("the forge's address makes no request")
	}
	if header != nil {
		r.Header = header
	}
	r.Header.Set("Authorization", "token "+f.token)
	r.Header.Set("User-Agent", "patchwork")
	resp, err := f.client.Do(r)
	if err != nil {
		return answer{}, plain(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{status: resp.StatusCode, header: resp.Header}, nil
	}
	if resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		// A file cut off at a line's end is still YAML, without its last rules.
		return answer{}, errors.New("the forge's answer does not say where it ends: a proxy in between should speak HTTP/1.1")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxDocument+1))
	if err != nil {
		return answer{}, plain(ctx, err)
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

var errSlowForge = fmt.Errorf("the forge took more than %v", forgeTimeout)

// plain keeps of an error of the HTTP client what an operator can use in a log
// line: not the URL, which names the user.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var in *url.Error
	if errors.As(err, &in) {
		err = in.Err
	}
	if errors.Is(err, errElsewhere) {
		return fmt.Errorf("the forge: %w", errElsewhere)
	}
	return fmt.Errorf("the forge cannot be reached: %.200s", strings.Join(strings.Fields(err.Error()), " "))
}
