package notify

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"unicode"
)

// refused makes an error of an answer that is not the one hoped for.
func refused(a answer) error {
	return &refusal{a.status, words(a)}
}

// unexpected is a service that says yes in a way that service would not: a login
// page, a parked domain, another program on that port.
func unexpected(a answer, service string) error {
	if isHTML(a) {
		return &refusal{a.status, "with an HTML page; this is not " + service + ", check the address"}
	}
	return &refusal{a.status, "not as " + service + " does; check the address"}
}

// words finds what a service has to say in an answer: the message in a JSON
// object, else the first line of a text. HTML pages have no words for us.
func words(a answer) string {
	if isHTML(a) {
		return "an HTML page; check the address"
	}
	var object map[string]any
	if json.Unmarshal(a.body, &object) == nil {
		var found []string
		for _, key := range []string{"errcode", "error", "errorDescription", "message", "description", "errors"} {
			if said := jsonWords(object[key]); said != "" {
				found = append(found, said)
			}
		}
		return oneLine(strings.Join(found, ": "))
	}
	return oneLine(string(a.body))
}

// jsonWords is a string, or whatever else a service explains itself with.
func jsonWords(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any, []any:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return ""
}

// oneLine is the first line of what somebody else wrote, without control
// characters. It is not shortened here: half a secret would not be recognised.
func oneLine(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "�"))
	s, _, _ = strings.Cut(s, "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control) {
			return -1
		}
		return r
	}, s)
}

func isHTML(a answer) bool {
	mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err == nil && mediaType == "text/html" {
		return true
	}
	return bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<")) &&
		strings.HasPrefix(http.DetectContentType(a.body), "text/html")
}
