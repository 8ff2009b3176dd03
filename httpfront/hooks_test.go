package httpfront_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"patchwork/httpfront"
)

// hook makes a channel of a kind and returns its path and secret.
func (r *relay) hook(kind string) (path, secret string) {
	r.t.Helper()
	a := r.get("/" + kind)
	var h struct{ Channel, Secret string }
	if err := json.Unmarshal([]byte(a.body), &h); err != nil || a.code != 200 || len(h.Secret) != 64 || len(h.Channel) != 36 {
		r.t.Fatalf("%+v: %v", a, err)
	}
	return "/" + kind + "/" + h.Channel, h.Secret
}

func TestASecretIsTheHMACOfItsChannelAndOutlivesTheServer(t *testing.T) {
	withKey := func(c *httpfront.Config) { c.SecretKey = []byte("key") }
	path, secret := start(t, withKey).hook("h")
	mac := hmac.New(sha256.New, []byte("key"))
	io.WriteString(mac, "h:"+strings.TrimPrefix(path, "/h/"))
	if want := hex.EncodeToString(mac.Sum(nil)); secret != want {
		t.Errorf("secret %s, want %s", secret, want)
	}
	r := start(t, withKey)
	wantLine(t, r.post(path+"?timeout=10ms&secret="+secret, "x"), 408, "nobody came")
}

// TestOnlyTheAllowedCellsPass is the table of namespace × what the request does ×
// credential, on the channel's effective action: never its method alone.
func TestOnlyTheAllowedCellsPass(t *testing.T) {
	r := start(t)
	sends := map[string]bool{"POST": true, "PUT": true, "PATCH": true, "GET ?body=": true, "POST ?pubsub": true, "WebSocket": true}
	receives := map[string]bool{
		"GET": true, "HEAD": true, "GET ?follow": true, "GET SSE": true, "GET NDJSON": true, "WebSocket": true,
	}
	all := map[string]bool{}
	for _, m := range []map[string]bool{sends, receives} {
		for k := range m {
			all[k] = true
		}
	}
	credentials := map[string]bool{
		"none": false, "wrong": false, "of another channel": false, "doubled": false, "over-long": false, "empty": false, "upper case": false,
		"?secret=": true, "Bearer": true, "bare": true, "X-Patch-Secret": true,
	}
	for _, kind := range []string{"h", "r"} {
		path, secret := r.hook(kind)
		_, other := r.hook(kind)
		for does := range all {
			for credential, good := range credentials {
				needs := kind == "h" && sends[does] || kind == "r" && receives[does]
				allowed := good || !needs
				t.Run(fmt.Sprintf("%s/%s/%s", kind, does, credential), func(t *testing.T) {
					query, header := credentialOf(credential, secret, other)
					code := r.try(path, does, query, header)
					if allowed == (code == http.StatusUnauthorized) {
						t.Errorf("got %d, allowed should be %v", code, allowed)
					}
				})
			}
		}
	}
	r.empty()
}

func credentialOf(credential, secret, other string) (query string, header http.Header) {
	header = http.Header{}
	switch credential {
	case "wrong":
		query = "secret=" + strings.Repeat("0", 64)
	case "of another channel":
		query = "secret=" + other
	case "doubled":
		query = "secret=" + secret + "&secret=" + other
	case "over-long":
		query = "secret=" + strings.Repeat(secret, 100)
	case "empty":
		query = "secret="
	case "upper case":
		query = "secret=" + strings.ToUpper(secret)
	case "?secret=":
		query = "secret=" + secret
	case "Bearer":
		header.Set("Authorization", "Bearer "+secret)
	case "bare":
		header.Set("Authorization", secret)
	case "X-Patch-Secret":
		header.Set("X-Patch-Secret", secret)
	}
	return query, header
}

// try does something on a channel with nobody at the other side, and returns how
// it was answered: 401, or what came of the attempt.
func (r *relay) try(path, does, query string, header http.Header) int {
	r.t.Helper()
	method, what, _ := strings.Cut(does, " ")
	query = "timeout=5ms&" + query
	switch what {
	case "?body=":
		query += "&body=x"
	case "?pubsub":
		query += "&pubsub"
	case "?follow":
		query += "&follow"
	case "SSE":
		header.Set("Accept", "text/event-stream")
	case "NDJSON":
		header.Set("Accept", "application/x-ndjson")
	}
	if does == "WebSocket" {
		conn, res, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+path+"?"+query, header)
		if err == nil {
			conn.Close()
		} else if res == nil {
			r.t.Fatal(err)
		}
		return res.StatusCode
	}
	req, err := http.NewRequestWithContext(within(r.t, patience), method, r.url+path+"?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestAWrongSecretAndAMissingOneAreAnsweredAlike(t *testing.T) {
	r := start(t)
	path, _ := r.hook("h")
	missing, wrong := r.post(path, "x"), r.post(path+"?secret="+secretSecret, "x")
	if missing.code != wrong.code || missing.body != wrong.body {
		t.Errorf("%+v and %+v", missing, wrong)
	}
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestAForgesSignatureIsACredentialAndItsWebhookArrivesByteForByte(t *testing.T) {
	r := start(t)
	body := "{\"ref\":\"main\",\n \"x\":\"\u00e4\\u0000\"}\r\n"
	for header, prefix := range map[string]string{
		"X-Hub-Signature-256": "sha256=", "X-Forgejo-Signature": "", "X-Gitea-Signature": "",
	} {
		path, secret := r.hook("h")
		got := later(func() answer { return r.get(path) })
		until(t, "a waiting consumer", func() bool { return r.broker.Stats().Consumers == 1 })
		a := r.post(path, body, header, prefix+sign(secret, body), "X-GitHub-Event", "push", "X-GitHub-Delivery", "72d3162e", "Content-Type", "application/json")
		want(t, a, 200, "")
		g := soon(t, got)
		want(t, g, 200, body)
		if g.header.Get("X-GitHub-Event") != "push" || g.header.Get("X-GitHub-Delivery") != "72d3162e" || g.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", g.header)
		}
		if g.header.Get(header) != "" {
			t.Errorf("the credential %s was passed on", header)
		}
		for what, signature := range map[string]string{
			"another body's": prefix + sign(secret, body+" "), "another secret's": prefix + sign(secret+"0", body),
			"short": prefix + sign(secret, body)[:62], "no hex": prefix + strings.Repeat("z", 64), "empty": "",
		} {
			if a := r.post(path, body, header, signature); a.code != 401 {
				t.Errorf("%s %s signature: %d", header, what, a.code)
			}
		}
		if a := r.get(path+"?body="+body[:5], header, prefix+sign(secret, body[:5])); a.code != 401 {
			t.Errorf("a signature opened ?body=: %d", a.code)
		}
	}
	r.empty()
}

func TestABodyTooLongForItsSignatureIsA413(t *testing.T) {
	r := start(t)
	path, secret := r.hook("h")
	const most = 25 << 20
	long := strings.Repeat("x", most+1)
	a := r.do("POST", path, strings.NewReader(long), "X-Gitea-Signature", sign(secret, long))
	wantLine(t, a, 413, "25 MiB")
	a = r.do("POST", path, io.MultiReader(strings.NewReader(long)), "X-Gitea-Signature", sign(secret, long))
	wantLine(t, a, 413, "25 MiB")
}

func TestHooksRefuseOtherMethods(t *testing.T) {
	r := start(t)
	wantLine(t, r.post("/h", ""), 405, "GET")
	wantLine(t, r.post("/r/", ""), 405, "GET")
}
