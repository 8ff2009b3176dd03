package main

import (
	"bytes"
	"encoding/json"
	"time"
)

// A format makes what is sent of a line, its end included: one of the functions
// below. The result is the caller's.
type format func(container string, p part) []byte

// plain is the line as the container wrote it.
func plain(_ string, p part) []byte {
	return append(append(make([]byte, 0, len(p.text)+1), p.text...), '\n')
}

func prefix(container string, p part) []byte {
	text := make([]byte, 0, len(container)+3+len(p.text)+1)
	text = append(append(text, container...), " | "...)
	return append(append(text, p.text...), '\n')
}

// asJSON is one object a line. Bytes of the text that are not UTF-8 become U+FFFD,
// for JSON has no other way to say them.
func asJSON(container string, p part) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // it is a log, not part of a page
	err := enc.Encode(struct {
		Time      time.Time `json:"time"`
		Container string    `json:"container"`
		Stream    string    `json:"stream"`
		Line      string    `json:"line"`
	}{time.Unix(0, p.t).UTC(), container, p.stream.String(), string(p.text)})
	if err != nil {
		panic(err) // texts and a time of this era always can be written
	}
	return text.Bytes()
}
