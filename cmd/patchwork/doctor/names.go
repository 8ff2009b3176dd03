package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"patchwork/cmd/patchwork/client"
)

// paths looks whether channels' names reach the relay as they were written.
func (e *exam) paths(ctx context.Context) []Finding {
	const means = "names arrive as others, or not at all"
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	changed := func(seen string, args ...any) []Finding {
		return []Finding{bad("paths", means, seen, args...).mendedBy(remedyPath)}
	}
	const wrote = "/a%2Fb/c%3Fd%20e%25/f?mime=text%2Fplain"
	take := getting(e.channel + "/a/b/c%3Fd%20e%25/f")
	sent, got := e.exchange(ctx, posting(e.channel+wrote, "x"), take)
	if !sent.ok() || !got.ok() {
		who, what := trouble(sent, got)
		return changed("a name with %%2F, %%3F and %%25 does not arrive: %s got %s", who, what)
	}
	if uri := got.header.Get("Patch-Uri"); !strings.HasSuffix(uri, wrote) {
		_, arrived, _ := strings.Cut(uri, e.channel)
		return changed("%s in a name arrives as %s", wrote, arrived)
	}
	r := e.get(ctx, question{method: http.MethodHead, path: e.channel + "//x"})
	switch {
	case r.status == http.StatusBadRequest:
		return []Finding{good("paths", "%%2F, %%3F, %%25 and // arrive as they are written")}
	case r.err == nil && r.status/100 == 3:
		return changed("// in a name is answered with a redirect (%d)", r.status)
	case r.ok():
		return changed("// in a name becomes /, where the relay would refuse it")
	}
	return changed("// in a name is answered with %s, not with the relay's 400", r)
}

// headers looks whether what a message carries, and what opens a hook, arrives.
func (e *exam) headers(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	send := posting(e.channel+"/headers", "x")
	send.header = http.Header{"Patch-H-Doctor": {"one", "two"}, "Content-Type": {"application/x-doctor"}}
	sent, got := e.exchange(ctx, send, getting(e.channel+"/headers"))
	if !sent.ok() || !got.ok() {
		who, what := trouble(sent, got)
		return []Finding{bad("headers", "messages do not pass", "a message with Patch-H- headers does not arrive: %s got %s", who, what)}
	}
	if doctors := strings.Join(got.header.Values("Doctor"), ", "); doctors != "one, two" { // a list may be one line (RFC 9110, section 5.3)
		return []Finding{bad("headers", "let the proxy pass Patch-* headers on", "of Patch-H-Doctor: one, two there arrives %q", doctors)}
	}
	for name, want := range map[string]string{"Content-Type": "application/x-doctor", "Patch-Method": http.MethodPost} {
		if is := got.header.Get(name); is != want {
			return []Finding{bad("headers", "let the proxy pass the relay's headers back", "%s arrives as %q, not as %q", name, is, want)}
		}
	}
	if sent.header.Get("Patch-Delivered") != "1" {
		return []Finding{bad("headers", "let the proxy pass the relay's headers back", "the sender does not get Patch-Delivered")}
	}
	return e.credentials(ctx)
}

// credentials looks whether tokens and secrets arrive, with a hook made for it.
func (e *exam) credentials(ctx context.Context) []Finding {
	made := e.get(ctx, getting("/r"))
	var h client.Hook
	if err := json.Unmarshal([]byte(made.text), &h); !made.ok() || err != nil {
		return []Finding{bad("headers", "hooks cannot be made", "GET /r gets %s", made)}
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + h.Secret, "X-Patch-Secret": h.Secret} {
		q := question{method: http.MethodHead, path: "/r/" + h.Channel, header: http.Header{name: {value}}}
		if r := e.get(ctx, q); !r.ok() {
			return []Finding{bad("headers", "tokens and secrets in it are useless; let the proxy pass it on", "%s does not arrive: a hook's secret in it gets %s", name, r)}
		}
	}
	return []Finding{good("headers", "Patch-*, Content-Type, Authorization and X-Patch-Secret pass")}
}
