package notify

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// longTailURLs has one valid URL for each service of the library that is taken.
var longTailURLs = map[string]string{
	"bark":       "bark://:devicekey@bark.test",
	"generic":    "generic://generic.test/hook",
	"googlechat": "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
	"gotify":     "gotify://gotify.test/Aaa.bbb.ccc.ddd",
	"hangouts":   "hangouts://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
	"ifttt":      "ifttt://key/?events=one",
	"join":       "join://shoutrrr:apikey@join/?devices=dev1",
	"lark":       "lark://open.larksuite.com/token?secret=sss",
	"mattermost": "mattermost://mattermost.test/token",
	"notifiarr":  "notifiarr://apikey123?channel=123456789",
	"ntfy":       "ntfy://ntfy.test/topic",
	"opsgenie":   "opsgenie://api.opsgenie.com/eb243592-faa2-4ba2-a551-1afdf565c889",
	"pagerduty":  "pagerduty://events.pagerduty.com/eb243592faa24ba2a5511afdf565c889",
	"pushbullet": "pushbullet://tokentokentokentokentokentokentoke/test",
	"pushover":   "pushover://:apptoken@usertoken",
	"rocketchat": "rocketchat://rocketchat.test/tokenA/tokenB/channel",
	"signal":     "signal://signal.test/+1234567890/+0987654321",
	"slack":      "slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook",
	"teams":      "teams://?host=https%3A%2F%2Fprod-1.westeurope.logic.azure.com%3A443%2Fworkflows%2Fabc%2Ftriggers%2Fmanual%2Fpaths%2Finvoke%3Fapi-version%3D2016-06-01%26sp%3Dx%26sv%3D1.0%26sig%3Dabc",
	"telegram":   "telegram://000000000:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@telegram/?channels=chan",
	"twilio":     "twilio://ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:authToken@+15551234567/+15559876543",
	"wecom":      "wecom://693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa",
	"zulip":      "zulip://bot%40zulip.test:secret-key@zulip.test?stream=a&topic=b",
}

// TestLongTailKeepsToTheClient sends by every service of the library and sees it
// come by the dialer, with no other way out: a service that made a connection of
// its own would succeed, or fail, without the dialer having been asked.
func TestLongTailKeepsToTheClient(t *testing.T) {
	refused := errors.New("refused by the policy")
	for scheme := range longTail {
		t.Run(scheme, func(t *testing.T) {
			address := longTailURLs[scheme]
			if address == "" {
				t.Fatal("add a URL of it to longTailURLs")
			}
			var mu sync.Mutex
			var dialed []string
			s := newSender(t, Options{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dialed = append(dialed, address)
				return nil, refused
			}})
			result, err := s.Send(t.Context(), config(t, "{type: shoutrrr, config: {url: '"+address+"'}}"), Message{Title: "T", Text: "x"}, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := result.Err(); len(dialed) == 0 || err == nil || err.Error() != "shoutrrr: cannot connect: refused by the policy" {
				t.Errorf("dialed %v, %v", dialed, err)
			}
		})
	}
}

// TestLongTailEndsWithItsDeadline: the library takes no context, its client does.
func TestLongTailEndsWithItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := New(Options{Transport: byHost{"generic.test": hang}})
		result, err := s.Send(t.Context(), config(t, "{type: shoutrrr, config: {url: 'generic://generic.test/hook'}}"), Message{Text: "x"}, "")
		if err != nil || result.Err() == nil || result.Err().Error() != "shoutrrr: no answer within 10s" || time.Since(start) != attemptTimeout {
			t.Errorf("%v, %v after %v", err, result.Err(), time.Since(start))
		}
	})
}

func TestLongTailRetriesAndPassesTheWordsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := New(Options{Transport: byHost{"api.pushover.net": func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked < 3 {
				w.WriteHeader(502)
				return
			}
			answerJSON(400, `{"errors":["application token apptoken is invalid"]}`)(w, r)
		}}})
		result, err := s.Send(t.Context(), config(t, "{type: shoutrrr, config: {url: '"+longTailURLs["pushover"]+"'}}"), Message{Text: "x"}, "")
		if err != nil || asked != 3 {
			t.Errorf("%v, asked %d times", err, asked)
		}
		if got := result.Err().Error(); !strings.HasPrefix(got, "shoutrrr: answered 400: [\"application token [secret] is invalid\"]") {
			t.Errorf("said %s", got)
		}
	})
}
