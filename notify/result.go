package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Outcome is how one target fared. Err is nil if the service took the message;
// else it is one line in the service's words or the relay's, without secrets.
type Outcome struct {
	Target  string // its name
	Backend string // its type
	Cut     bool   // the end of the text was left out, the service takes no more
	Took    time.Duration
	Err     error
}

// Result is how one message fared, by target in the configuration's order.
type Result struct {
	Format   Format
	Outcomes []Outcome
}

// Err is nil if every target has the message. Else it is one line that names the
// targets that have not, each with its reason, and then those that have: they
// must be left out (`?to=`) by whoever tries again.
func (r Result) Err() error {
	var failed, sent []string
	for _, o := range r.Outcomes {
		if o.Err != nil {
			failed = append(failed, o.Target+": "+o.Err.Error())
		} else {
			sent = append(sent, o.Target)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	line := strings.Join(failed, "; ")
	if len(sent) > 0 {
		line += fmt.Sprintf(" (sent to %s)", strings.Join(sent, ", "))
	}
	return errors.New(line)
}

// report is the body of a 200.
type report struct {
	Status  string   `json:"status"`
	Type    Format   `json:"type"`
	Targets []string `json:"targets,omitempty"` // when there are several
	Cut     []string `json:"cut,omitempty"`     // those that took only a beginning
}

// Reply is what an HTTP client hears: 200 and a JSON object if every target has
// the message, 400 for an [*InputError], 503 if no target is configured or the
// Sender is closed, 502 if a target failed. All but the 200 are one plain line.
// err is what ParseRequest or Send returned; r counts only if it is nil.
func Reply(r Result, err error) (status int, contentType string, body []byte) {
	const plainText = "text/plain; charset=utf-8"
	var input *InputError
	switch {
	case errors.As(err, &input):
		return http.StatusBadRequest, plainText, []byte(input.Error() + "\n")
	case err != nil:
		return http.StatusServiceUnavailable, plainText, []byte(err.Error() + "\n")
	}
	if err := r.Err(); err != nil {
		return http.StatusBadGateway, plainText, []byte(err.Error() + "\n")
	}
	said := report{Status: "sent", Type: r.Format}
	for _, o := range r.Outcomes {
		if len(r.Outcomes) > 1 {
			said.Targets = append(said.Targets, o.Target)
		}
		if o.Cut {
			said.Cut = append(said.Cut, o.Target)
		}
	}
	body, err = json.Marshal(said)
	if err != nil {
		panic("notify: strings make JSON: " + err.Error())
	}
	return http.StatusOK, "application/json", append(body, '\n')
}
