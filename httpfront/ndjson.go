package httpfront

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// ndjson is one JSON object a line. Binary bodies are in body_base64. Parts have
// a number from 1, and the last one end: true, or cut: true when its producer
// went away; late: true are those of a message that had begun before the follower
// came. There is no heartbeat: an empty line is not for every parser.
type ndjson struct{}

func (ndjson) contentType() string { return "application/x-ndjson" }

func (ndjson) beat(buf []byte) []byte { return buf }

type ndjsonLine struct {
	ID      string              `json:"id"`
	Time    string              `json:"time"`
	Channel string              `json:"channel"`
	Headers map[string][]string `json:"headers"`
	Body    *string             `json:"body,omitempty"`
	Base64  *string             `json:"body_base64,omitempty"`
	Part    int                 `json:"part,omitempty"`
	End     bool                `json:"end,omitempty"`
	Cut     bool                `json:"cut,omitempty"`
	Late    bool                `json:"late,omitempty"`
}

func (ndjson) append(buf []byte, f frame) []byte {
	line := ndjsonLine{
		ID:      strconv.FormatUint(f.info.ID, 10),
		Time:    f.info.Time.UTC().Format(time.RFC3339Nano),
		Channel: f.info.Channel.String(),
		Headers: map[string][]string{},
		Part:    f.part,
		End:     f.end && !f.cut,
		Cut:     f.cut,
		Late:    f.late,
	}
	for name, values := range f.info.Header {
		if !forReplies[name] {
			line.Headers[name] = values
		}
	}
	if utf8.Valid(f.data) {
		s := string(f.data)
		line.Body = &s
	} else {
		s := base64.StdEncoding.EncodeToString(f.data)
		line.Base64 = &s
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // strings and numbers always can be marshalled
	}
	return append(append(buf, text...), '\n')
}
