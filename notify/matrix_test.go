package notify

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	matrixSeed = `{type: matrix, config: {access_token: syt_secret, user: "@me:m.org", endpoint: "https://m.test", room_id: "!room:m.org"}}`
	matrixUser = `{type: matrix, config: {access_token: syt_secret, user: "@me:m.org", endpoint: "http://m.test/"}}`
)

// homeserver answers the calls of the client-server API that a notification
// needs, and refuses what a server would refuse.
type homeserver struct {
	double
	direct map[string][]string // account data m.direct
	rooms  map[string]bool     // those the account is in
	events map[string]string   // what arrived, by room and transaction id
	fail   []int               // statuses of the next sends, in turn
}

func newHomeserver(rooms ...string) *homeserver {
	h := &homeserver{direct: map[string][]string{}, rooms: map[string]bool{}, events: map[string]string{}}
	for _, room := range rooms {
		h.rooms[room] = true
	}
	return h
}

func (h *homeserver) transport() byHost { return byHost{"m.test": h.record(h.serve)} }

func (h *homeserver) serve(w http.ResponseWriter, r *http.Request) {
	request := h.all()[len(h.all())-1]
	say := func(status int, object any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(object)
	}
	if r.Header.Get("Authorization") != "Bearer syt_secret" {
		say(401, map[string]string{"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token"})
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/_matrix/client/v3")
	switch {
	case path == "/account/whoami" && r.Method == "GET":
		say(200, map[string]string{"user_id": "@bot:m.org"})
	case path == "/user/@bot:m.org/account_data/m.direct" && r.Method == "GET":
		if len(h.direct) == 0 {
			say(404, map[string]string{"errcode": "M_NOT_FOUND", "error": "Account data not found"})
			return
		}
		say(200, h.direct)
	case path == "/user/@bot:m.org/account_data/m.direct" && r.Method == "PUT":
		_ = json.Unmarshal(request.body, &h.direct)
		say(200, struct{}{})
	case path == "/createRoom" && r.Method == "POST":
		h.rooms["!new:m.org"] = true
		say(200, map[string]string{"room_id": "!new:m.org"})
	case path == "/directory/room/#ops:m.org" && r.Method == "GET":
		say(200, map[string]string{"room_id": "!room:m.org"})
	default:
		sent := regexp.MustCompile(`^/rooms/([^/]+)/send/m\.room\.message/([^/]+)$`).FindStringSubmatch(path)
		if sent == nil || r.Method != "PUT" {
			say(404, map[string]string{"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"})
			return
		}
		if len(h.fail) > 0 {
			status := h.fail[0]
			h.fail = h.fail[1:]
			if status == 0 { // kept the event, and the answer was lost
				h.events[sent[1]+" "+sent[2]] = string(request.body)
				<-r.Context().Done()
				return
			}
			say(status, map[string]any{"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 2000})
			return
		}
		if !h.rooms[sent[1]] {
			say(403, map[string]string{"errcode": "M_FORBIDDEN", "error": "User @bot:m.org not in room"})
			return
		}
		h.events[sent[1]+" "+sent[2]] = string(request.body)
		say(200, map[string]string{"event_id": "$1"})
	}
}

func TestMatrixSendsAnEventWithFormattedBody(t *testing.T) {
	d := newDouble(t, answerJSON(200, `{"event_id":"$1"}`))
	c := config(t, strings.Replace(matrixSeed, "https://m.test", "http://m.test", 1))
	send(t, d.sender(t), c, Message{Format: Markdown, Title: "Alert <1>", Text: "Something **important**\n<script>alert(1)</script> [x](javascript:alert(1))"})
	got := d.one(t)
	if !regexp.MustCompile(`^/_matrix/client/v3/rooms/%21room:m\.org/send/m\.room\.message/pw[A-Z0-9]{20,}$`).MatchString(got.path) || got.method != "PUT" {
		t.Errorf("asked %s %s", got.method, got.path)
	}
	if got.header.Get("Authorization") != "Bearer syt_secret" || got.query != "" {
		t.Errorf("the token is in %q, the query is %q", got.header.Get("Authorization"), got.query)
	}
	want := map[string]string{
		"msgtype": "m.text", "format": "org.matrix.custom.html",
		"body":           "Alert <1>\n\nSomething **important**\n<script>alert(1)</script> [x](javascript:alert(1))",
		"formatted_body": "<p><strong>Alert &lt;1&gt;</strong></p>\n<p>Something <strong>important</strong></p>",
	}
	for key, value := range want {
		if said, _ := got.field(t, key).(string); said != value && (key != "formatted_body" || !strings.HasPrefix(said, value[:70])) {
			t.Errorf("%s is %q, want %q", key, said, value)
		}
	}
	if formatted, _ := got.field(t, "formatted_body").(string); strings.Contains(formatted, "javascript:") || strings.Contains(formatted, "<script") {
		t.Errorf("formatted_body is %q", formatted)
	}
}

func TestMatrixPlainTextHasNoFormattedBody(t *testing.T) {
	h := newHomeserver("!room:m.org")
	send(t, newSender(t, Options{Transport: h.transport()}), config(t, matrixSeed), Message{Text: "a **b** <i>"})
	if got := h.one(t); string(got.body) != `{"msgtype":"m.text","body":"a **b** \u003ci\u003e"}` {
		t.Errorf("the event is %s", got.body)
	}
}

// TestMatrixTransactionIDStaysOverRetries loses an answer, is told to wait, and
// still leaves one event.
func TestMatrixTransactionIDStaysOverRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHomeserver("!room:m.org")
		h.fail = []int{0, 429, 503}
		s := New(Options{Transport: h.transport()})
		start := time.Now()
		send(t, s, config(t, matrixSeed), Message{Text: "once"})
		if took := time.Since(start); took < 14*time.Second || took > Budget {
			t.Errorf("it took %v: a lost answer (10 s) and twice what the server asked (2 s)", took)
		}
		seen := h.all()
		if len(seen) != 4 || len(h.events) != 1 {
			t.Fatalf("%d attempts left the events %v, want 4 and one event", len(seen), h.events)
		}
		for _, request := range seen[1:] {
			if request.path != seen[0].path {
				t.Errorf("an attempt went to %s, the first to %s", request.path, seen[0].path)
			}
		}
		if retried := s.Stats().Retried; retried != 3 {
			t.Errorf("Stats count %d retries, want 3", retried)
		}
		send(t, s, config(t, matrixSeed), Message{Text: "once"})
		if len(h.events) != 2 {
			t.Error("a second message with the same text was taken for the first")
		}
	})
}

func TestMatrixRoomOfTheRequestComesFirst(t *testing.T) {
	for room, want := range map[string]string{"": "!room:m.org", "!other:m.org": "!other:m.org", "#ops:m.org": "!room:m.org"} {
		h := newHomeserver("!room:m.org", "!other:m.org")
		send(t, newSender(t, Options{Transport: h.transport()}), config(t, matrixSeed), Message{Text: "x", Room: room})
		for event := range h.events {
			if !strings.HasPrefix(event, want+" ") {
				t.Errorf("room %q: the event went to %s, want %s", room, event, want)
			}
		}
	}
}

func TestMatrixMakesOneDirectRoomAndRemembersIt(t *testing.T) {
	h := newHomeserver()
	s := newSender(t, Options{Transport: h.transport()})
	c := config(t, matrixUser)
	send(t, s, c, Message{Text: "one"})
	send(t, s, config(t, matrixUser), Message{Text: "two"}) // read again, the same target
	// A relay that was restarted finds the room in the account's own data.
	send(t, newSender(t, Options{Transport: h.transport()}), c, Message{Text: "three"})
	made := 0
	for _, request := range h.all() {
		if strings.HasSuffix(request.path, "/createRoom") {
			made++
			if string(request.body) != `{"invite":["@me:m.org"],"is_direct":true,"preset":"trusted_private_chat"}` {
				t.Errorf("the room was asked for with %s", request.body)
			}
		}
	}
	if made != 1 || len(h.events) != 3 || h.direct["@me:m.org"][0] != "!new:m.org" {
		t.Errorf("%d rooms made, events %v, m.direct %v", made, h.events, h.direct)
	}
}

func TestMatrixMakesAnotherDirectRoomWhenItIsNoLongerInTheOldOne(t *testing.T) {
	h := newHomeserver()
	h.direct["@me:m.org"] = []string{"!left:m.org"}
	send(t, newSender(t, Options{Transport: h.transport()}), config(t, matrixUser), Message{Text: "x"})
	if len(h.events) != 1 || len(h.direct["@me:m.org"]) != 2 {
		t.Errorf("events %v, m.direct %v", h.events, h.direct)
	}
}

func TestMatrixSaysWhatIsWrong(t *testing.T) {
	h := newHomeserver("!room:m.org")
	for name, try := range map[string]struct{ config, room, want string }{
		"wrong token":  {strings.Replace(matrixSeed, "syt_secret", "other", 1), "", "matrix: answered 401: M_UNKNOWN_TOKEN: Unknown token"},
		"not a member": {matrixSeed, "!x:m.org", "matrix: answered 403: M_FORBIDDEN: User @bot:m.org not in room"},
		"itself":       {strings.Replace(matrixUser, "@me", "@bot", 1), "", "matrix: user is the account of access_token itself; set room_id, or user to whoever is to be told"},
		"no such host": {strings.Replace(matrixSeed, "m.test", "gone.test", 1), "", "matrix: cannot connect: lookup gone.test: no such host"},
	} {
		result, err := newSender(t, Options{Transport: h.transport()}).Send(t.Context(), config(t, try.config), Message{Text: "x", Room: try.room}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := result.Err(); err == nil || err.Error() != try.want {
			t.Errorf("%s: %v, want %s", name, err, try.want)
		}
	}
	noRoom := config(t, `{type: matrix, config: {access_token: x}}`)
	if _, err := newSender(t, Options{Transport: h.transport()}).Send(t.Context(), noRoom, Message{Text: "x"}, ""); err == nil || !strings.HasPrefix(err.Error(), "room: needed") {
		t.Errorf("neither room_id nor user: %v", err)
	}
}

func TestMatrixEventStaysWithinTheServersLimit(t *testing.T) {
	h := newHomeserver("!room:m.org")
	s := newSender(t, Options{Transport: h.transport()})
	for _, text := range []string{strings.Repeat("*a* ", MaxMessage/4), strings.Repeat("\x01", MaxMessage), strings.Repeat("é", MaxMessage/2)} {
		result := send(t, s, config(t, matrixSeed), Message{Format: Markdown, Text: text})
		if !result.Outcomes[0].Cut {
			t.Error("nobody was told that the text was cut")
		}
	}
	for _, request := range h.all() {
		if len(request.body) > maxEvent || !strings.HasSuffix(request.field(t, "body").(string), "…") {
			t.Errorf("an event of %d bytes", len(request.body))
		}
	}
}
