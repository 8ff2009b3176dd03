package notify

import (
	"errors"
	"fmt"
	"testing"
)

func TestReply(t *testing.T) {
	ok := Outcome{Target: "a"}
	for _, test := range []struct {
		result Result
		err    error
		status int
		body   string
	}{
		{Result{Format: Plain, Outcomes: []Outcome{ok}}, nil, 200, `{"status":"sent","type":"plain"}`},
		{Result{Format: HTML, Outcomes: []Outcome{ok, {Target: "b", Cut: true}}}, nil, 200, `{"status":"sent","type":"html","targets":["a","b"],"cut":["b"]}`},
		{Result{Outcomes: []Outcome{{Target: "b", Err: errors.New("no")}}}, nil, 502, "b: no"},
		{Result{Outcomes: []Outcome{ok, {Target: "b", Err: errors.New("no")}, {Target: "c", Err: errors.New("never")}}}, nil, 502, "b: no; c: never (sent to a)"},
		{Result{}, bad("type", "is odd"), 400, "type: is odd"},
		{Result{}, fmt.Errorf("wrapped: %w", bad("type", "is odd")), 400, "type: is odd"},
		{Result{}, ErrNone, 503, ErrNone.Error()},
		{Result{}, ErrClosed, 503, ErrClosed.Error()},
	} {
		status, contentType, body := Reply(test.result, test.err)
		if status != test.status || string(body) != test.body+"\n" || (contentType == "application/json") != (status == 200) {
			t.Errorf("%d, %s, %s; want %d, %s", status, contentType, body, test.status, test.body)
		}
	}
}
