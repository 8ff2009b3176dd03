package notify

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestNoFailureShowsASecret has every service repeat, in its refusal, the whole
// request it got: path, query, headers, body.
func TestNoFailureShowsASecret(t *testing.T) {
	parrot := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		fmt.Fprintf(w, "bad request %s %s %s https://hush-99:x@z.test/?a=hush-99 hush-6", r.URL, r.URL.Query(), strings.ReplaceAll(fmt.Sprint(r.Header), "\n", " "))
	}
	everywhere := anyHost(parrot)
	c := config(t, everySecret)
	result, err := newSender(t, Options{Transport: everywhere}).Send(t.Context(), c, Message{Text: "x", Room: "!r:m.org"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Outcomes {
		if o.Err == nil {
			t.Errorf("%s succeeded", o.Target)
		} else if o.Backend != "mail" && !strings.Contains(o.Err.Error(), "bad request") {
			t.Errorf("%s does not pass the words on: %v", o.Target, o.Err)
		}
		// hush-6 is the topic of ntfy: to others it is a word.
		if said := fmt.Sprint(o.Err); strings.Contains(said, "aHVzaC04") {
			t.Errorf("%s shows the credentials: %v", o.Target, o.Err)
		}
		if said := fmt.Sprint(o.Err); o.Backend == "ntfy" && strings.Contains(said, "hush") || strings.Contains(strings.ReplaceAll(said, "hush-6", ""), "hush") {
			t.Errorf("%s shows a secret: %v", o.Target, o.Err)
		}
	}
}

type anyHost http.HandlerFunc

func (h anyHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return byHost{r.URL.Hostname(): http.HandlerFunc(h).ServeHTTP}.RoundTrip(r)
}

// FuzzRedact hides a secret in a text in the ways services do, and looks for it.
func FuzzRedact(f *testing.F) {
	f.Add("s3cr3t/+=&", "error at ", " in line 1")
	f.Add("hunter2", "hunterhunter", "2 https://hunter2:hunter2@x/hunter2?hunter2#hunter2")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < 6 || strings.Contains(masked, secret) || strings.ContainsAny(secret, "\x00\r\n") {
			return
		}
		r := newRedactor([]string{secret})
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			said := r.text(before + form + after)
			// What the mask and its surroundings happen to spell is not the secret.
			if strings.Contains(strings.ReplaceAll(said, masked, "\x00"), secret) {
				t.Fatalf("%q is in %q", secret, said)
			}
		}
	})
}
