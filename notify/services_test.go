package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"
)

var full = Message{Format: Markdown, Title: "Disk *full*", Text: "It is **97 %** of `/var`, see [why](https://x.test/a?b=1&c=2).", Priority: 4, Tags: []string{"warning", "disk"}}

// as is the message in another format.
func as(f Format, m Message, text string) Message {
	m.Format, m.Text = f, text
	return m
}

// TestRequestShapes holds each service's request to what its API documents.
func TestRequestShapes(t *testing.T) {
	html := "<p>It is <b onclick=x()>97 %</b>, <a href=\"https://x.test/\">why</a><script>x()</script></p>"
	for _, test := range []struct {
		name, config  string
		answer        string
		message       Message
		path, query   string
		header, value string
		want          map[string]any
	}{
		{
			name: "discord markdown", config: `{type: discord, config: {webhook_url: "http://d.test/api/webhooks/1/tok?thread_id=7"}}`, answer: `{"id":"1"}`,
			message: full, path: "/api/webhooks/1/tok", query: "thread_id=7&wait=true",
			want: map[string]any{
				"content":          "**Disk \\*full\\***\n" + full.Text,
				"allowed_mentions": map[string]any{"parse": []any{}},
			},
		},
		{
			name: "discord plain", config: `{type: discord, config: {webhook_url: "http://d.test/w"}}`, answer: `{"id":"1"}`,
			message: Message{Text: "# a_b * @everyone http://x.test/a_b_c"}, path: "/w", query: "wait=true",
			want: map[string]any{
				"content":          `\# a\_b \* @everyone http://x.test/a_b_c`,
				"allowed_mentions": map[string]any{"parse": []any{}},
			},
		},
		{
			name: "discord html", config: `{type: discord, config: {webhook_url: "http://d.test/w"}}`, answer: `{"id":"1"}`,
			message: as(HTML, Message{}, html), path: "/w", query: "wait=true",
			want: map[string]any{
				"content":          `It is 97 %, why (https://x.test/)`,
				"allowed_mentions": map[string]any{"parse": []any{}},
			},
		},
		{
			name: "slack markdown", config: `{type: slack, config: {webhook_url: "http://s.test/services/T/B/X"}}`, answer: "ok",
			message: full, path: "/services/T/B/X",
			want: map[string]any{"mrkdwn": true, "text": "*Disk *full**\nIt is *97 %* of `/var`, see <https://x.test/a?b=1&amp;c=2|why>."},
		},
		{
			name: "slack plain", config: `{type: slack, config: {webhook_url: "http://s.test/"}}`, answer: "ok",
			message: Message{Text: "<!channel> a & *b*"}, path: "/",
			want: map[string]any{"mrkdwn": false, "text": "&lt;!channel&gt; a &amp; *b*"},
		},
		{
			name: "telegram markdown", config: `{type: telegram, config: {token: "12:AB-c", chat_id: -100, endpoint: "http://t.test"}}`, answer: `{"ok":true}`,
			message: full, path: "/bot12:AB-c/sendMessage",
			want: map[string]any{
				"chat_id": "-100", "parse_mode": "HTML",
				"text": "<b>Disk *full*</b>\n\nIt is <b>97 %</b> of <code>/var</code>, see <a href=\"https://x.test/a?b=1&amp;c=2\">why</a>.",
			},
		},
		{
			name: "telegram plain, low", config: `{type: telegram, config: {token: "12:AB-c", chat_id: "@ops", endpoint: "http://t.test"}}`, answer: `{"ok":true}`,
			message: Message{Text: "a <b> *c*", Priority: 1}, path: "/bot12:AB-c/sendMessage",
			want: map[string]any{"chat_id": "@ops", "text": "a <b> *c*", "disable_notification": true},
		},
		{
			name: "ntfy", config: `{type: ntfy, config: {topic: alerts, endpoint: "http://n.test", token: tk_1}}`, answer: `{"id":"x"}`,
			message: full, path: "/", header: "Authorization", value: "Bearer tk_1",
			want: map[string]any{
				"topic": "alerts", "title": full.Title, "message": full.Text, "markdown": true,
				"priority": 4.0, "tags": []any{"warning", "disk"},
			},
		},
		{
			name: "ntfy with a password", config: `{type: ntfy, config: {topic: alerts, endpoint: "http://n.test", username: me, password: pw}}`, answer: `{"id":"x"}`,
			message: Message{Text: "hi"}, path: "/", header: "Authorization", value: "Basic bWU6cHc=",
			want: map[string]any{"topic": "alerts", "message": "hi"},
		},
		{
			name: "gotify", config: `{type: gotify, config: {endpoint: "http://g.test/sub/", token: Axyz}}`, answer: `{"id":25}`,
			message: full, path: "/sub/message", header: "X-Gotify-Key", value: "Axyz",
			want: map[string]any{
				"title": full.Title, "message": full.Text, "priority": 8.0,
				"extras": map[string]any{"client::display": map[string]any{"contentType": "text/markdown"}},
			},
		},
		{
			name: "gotify html", config: `{type: gotify, config: {endpoint: "http://g.test", token: Axyz}}`, answer: `{"id":25}`,
			message: as(HTML, Message{}, html), path: "/message", header: "X-Gotify-Key", value: "Axyz",
			want: map[string]any{"message": "It is 97 %, why (https://x.test/)"},
		},
		{
			name: "shoutrrr", config: `{type: shoutrrr, config: {url: "generic+http://h.test/x?template=json"}}`, answer: "fine",
			message: Message{Title: "T", Text: "hi"}, path: "/x",
			want: map[string]any{"title": "T", "message": "hi"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDouble(t, answerJSON(200, test.answer))
			send(t, d.sender(t), config(t, test.config), test.message)
			got := d.one(t)
			if got.method != "POST" || got.path != test.path || got.query != test.query {
				t.Errorf("asked %s %s?%s, want POST %s?%s", got.method, got.path, got.query, test.path, test.query)
			}
			if got.header.Get("Content-Type") != "application/json" || got.header.Get(test.header) != test.value {
				t.Errorf("the header is %v, want %s: %s", got.header, test.header, test.value)
			}
			if said := got.field(t); !reflect.DeepEqual(said, any(test.want)) {
				t.Errorf("said\n%v\nwant\n%v", said, test.want)
			}
		})
	}
}

func TestWebhookIsSignedAndCarriesItsHeaders(t *testing.T) {
	d := newDouble(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	c := config(t, `{type: webhook, config: {url: "http://me:pw@h.test/hook?key=1", secret: s3cret, headers: {X-Env: prod, authorization: "Bearer own"}}}`)
	send(t, d.sender(t), c, as(HTML, full, `<b>hi</b><img src=x onerror=alert(1)>`))
	got := d.one(t)
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(got.body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); got.header.Get("X-Hub-Signature-256") != want {
		t.Errorf("the signature is %q, want %q", got.header.Get("X-Hub-Signature-256"), want)
	}
	if got.header.Get("X-Env") != "prod" || got.header.Get("Authorization") != "Bearer own" || got.query != "key=1" {
		t.Errorf("header %v, query %q", got.header, got.query)
	}
	for key, want := range map[string]any{"type": "html", "title": full.Title, "message": "<b>hi</b>", "text": "hi", "html": "<b>hi</b>", "priority": 4.0, "tags": []any{"warning", "disk"}} {
		if said := got.field(t, key); !reflect.DeepEqual(said, want) {
			t.Errorf("%s is %v, want %v", key, said, want)
		}
	}
	if id, _ := got.field(t, "id").(string); len(id) < 20 {
		t.Errorf("id is %q", id)
	}
}

// TestServicesTakeWhatTheyCan sends more than each service takes, in characters
// that are long in every way.
func TestServicesTakeWhatTheyCan(t *testing.T) {
	family := "👨‍👩‍👧‍👦"
	text := strings.Repeat(family, 3000)
	for typ, test := range map[string]struct {
		config, answer, field string
		units                 int
	}{
		"discord":  {`{type: discord, config: {webhook_url: "http://d.test/"}}`, `{"id":"1"}`, "content", 2000},
		"telegram": {`{type: telegram, config: {token: "1:a", chat_id: 1, endpoint: "http://t.test"}}`, `{"ok":true}`, "text", 4096},
	} {
		for _, format := range []Format{Plain, Markdown} {
			d := newDouble(t, answerJSON(200, test.answer))
			result := send(t, d.sender(t), config(t, test.config), Message{Format: format, Title: "T", Text: text[:len(family)*2500]})
			got := d.one(t).field(t, test.field).(string)
			if units := len(utf16.Encode([]rune(got))); units > test.units || units < test.units-len(family) {
				t.Errorf("%s, %s: %d units, want at most %d and not much less", typ, format, units, test.units)
			}
			if whole := strings.Trim(got, "T*\n…"); strings.ReplaceAll(whole, family, "") != "" || d.one(t).field(t, "parse_mode") != nil {
				t.Errorf("%s, %s: a character was cut in two", typ, format)
			}
			if !result.Outcomes[0].Cut {
				t.Errorf("%s: the outcome does not say that it was cut", typ)
			}
		}
	}
}

func TestSlackGetsALongTextWithoutMarks(t *testing.T) {
	d := newDouble(t, answerJSON(200, "ok"))
	c := config(t, `{type: slack, config: {webhook_url: "http://s.test/"}}`)
	result := send(t, d.sender(t), c, Message{Format: HTML, Title: "T", Text: strings.Repeat("<b>&amp;</b> ", 5000)})
	got := d.one(t)
	text, _ := got.field(t, "text").(string)
	if got.field(t, "mrkdwn") != false || len(text) > maxSlack+len(ellipsis) || !strings.HasSuffix(text, "…") || !result.Outcomes[0].Cut {
		t.Errorf("%d characters, marked: %v, …%q", len(text), got.field(t, "mrkdwn"), text[max(0, len(text)-20):])
	}
}

// TestServicesRefuseTheWrongAnswer: a yes that is not that service's yes is none.
func TestServicesRefuseTheWrongAnswer(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Sign in</title>"))
	}
	configs := map[string]string{
		"matrix":   matrixSeed,
		"discord":  `{type: discord, config: {webhook_url: "http://m.test/"}}`,
		"slack":    `{type: slack, config: {webhook_url: "http://m.test/"}}`,
		"telegram": `{type: telegram, config: {token: "1:a", chat_id: 1, endpoint: "http://m.test"}}`,
		"ntfy":     `{type: ntfy, config: {topic: my-topic, endpoint: "http://m.test"}}`,
		"gotify":   `{type: gotify, config: {endpoint: "http://m.test", token: Axyz}}`,
	}
	for name, text := range configs {
		for kind, answer := range map[string]http.HandlerFunc{"html": page, "empty object": answerJSON(200, "{}")} {
			if name == "slack" && kind == "empty object" {
				continue // what speaks like Slack may answer so
			}
			s := newSender(t, Options{Transport: byHost{"m.test": answer}})
			result, err := s.Send(t.Context(), config(t, text), Message{Text: "x"}, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := result.Err(); err == nil || !strings.HasPrefix(err.Error(), name+": answered 200") {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}
