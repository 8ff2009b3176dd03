package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxRequest is how long a request's body may be, in bytes: a message of the
// greatest length with everything in it escaped.
const MaxRequest = 512 << 10

// inputs are the names of what a request may say. Names of the same meaning
// stand for the same field; a request uses one of them.
var inputs = map[string]string{
	"message": "message", "content": "message", "body": "message",
	"type": "type", "title": "title", "room": "room",
	"priority": "priority", "tags": "tags", "to": "to",
}

// ParseRequest reads one notification from a request: JSON, a form, or plain
// text in the body, or the query of a GET. `to` names the targets that are to
// have it, separated by commas; "" is all of them. The query fills in what the
// body does not say, so that plain text can have a title.
//
// `curl -d TEXT` declares a form. A body declared so that names no field of
// section 8 is taken for what it is: a JSON object with a message, or plain text.
//
// Every error is an [*InputError]. The body is read, never more than
// [MaxRequest] of it, and not closed.
func ParseRequest(r *http.Request) (m Message, to string, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Message{}, "", bad("query", "not percent-encoded as it should be")
	}
	given, err := fromValues(query)
	if err != nil {
		return Message{}, "", err
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		inBody, err := readBody(r)
		if err != nil {
			return Message{}, "", err
		}
		maps.Copy(given, inBody)
	default:
		return Message{}, "", bad("method", "notifications are sent with POST, or GET with a query")
	}
	return given.message()
}

// given holds the fields of one request by their names in inputs.
type given map[string]string

func (g given) message() (Message, string, error) {
	m := Message{
		Format: Format(strings.ToLower(g["type"])),
		Title:  g["title"],
		Text:   g["message"],
		Room:   g["room"],
		Tags:   splitList(g["tags"]),
	}
	m.Format = m.format()
	priority, known := priorities[strings.ToLower(strings.TrimSpace(g["priority"]))]
	if !known {
		return Message{}, "", bad("priority", "%q is not one of 1 to 5, min, low, default, high, max", clip(g["priority"], 40))
	}
	m.Priority = priority
	if err := m.Check(); err != nil {
		return Message{}, "", err
	}
	to := g["to"]
	if err := checkLine("to", to, 1024); err != nil {
		return Message{}, "", err
	}
	return m, to, nil
}

func readBody(r *http.Request) (given, error) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, bad("Content-Type", "%q is not a media type", clip(r.Header.Get("Content-Type"), 80))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return nil, bad("Content-Type", "charset %q is not understood; send UTF-8", clip(charset, 40))
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, bad("Content-Encoding", "send the body as it is")
	}
	var body io.ReadCloser = http.NoBody
	if r.Body != nil {
		body = http.MaxBytesReader(nil, r.Body, MaxRequest)
	}
	if mediaType == "multipart/form-data" {
		return fromMultipart(r, body)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyError(err)
	}
	if !utf8.Valid(raw) {
		return nil, bad("message", "not UTF-8 text")
	}
	switch {
	case mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"):
		return fromJSON(raw)
	case mediaType == "application/x-www-form-urlencoded":
		return fromForm(raw)
	case mediaType == "text/html":
		return given{"message": plainBody(raw), "type": string(HTML)}.sparse(), nil
	case mediaType == "text/markdown":
		return given{"message": plainBody(raw), "type": string(Markdown)}.sparse(), nil
	}
	return given{"message": plainBody(raw)}.sparse(), nil
}

// bodyError tells a body that is too long from one that broke off.
func bodyError(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return bad("message", "longer than %d bytes", MaxMessage)
	}
	return bad("body", "could not be read to its end")
}

// ReadText reads the text of a message from somewhere else than a request, such
// as the standard input of a command, by the same rules. It reads no more than
// one byte beyond [MaxMessage].
func ReadText(r io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxMessage+1))
	if err != nil {
		return "", err
	}
	if len(raw) > MaxMessage {
		return "", bad("message", "longer than %d bytes", MaxMessage)
	}
	return plainBody(raw), nil
}

// plainBody drops the line end that echo and editors put after a text.
func plainBody(raw []byte) string {
	return strings.TrimRight(string(raw), "\r\n")
}

// sparse drops what is empty, so that it does not hide what the query says.
func (g given) sparse() given {
	maps.DeleteFunc(g, func(_, v string) bool { return v == "" })
	return g
}

// fromForm reads what curl -d sends, see ParseRequest.
func fromForm(raw []byte) (given, error) {
	values, err := url.ParseQuery(string(raw))
	named := slices.ContainsFunc(slices.Collect(maps.Keys(values)), func(key string) bool { return inputs[key] != "" })
	if named && err == nil {
		return fromValues(values)
	}
	if trimmed := bytes.TrimSpace(raw); bytes.HasPrefix(trimmed, []byte("{")) && json.Valid(trimmed) {
		if g, err := fromJSON(trimmed); err != nil || g["message"] != "" {
			return g, err
		}
	}
	return given{"message": plainBody(raw)}.sparse(), nil
}

func fromMultipart(r *http.Request, body io.ReadCloser) (given, error) {
	limited := r.WithContext(r.Context())
	limited.Body = body
	parts, err := limited.MultipartReader()
	if err != nil {
		return nil, bad("Content-Type", "multipart/form-data without a boundary")
	}
	values := url.Values{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return fromValues(values)
		}
		if err != nil {
			return nil, bodyError(err)
		}
		if part.FileName() != "" {
			return nil, bad(clip(part.FormName(), 40), "is a file; send its text as a field")
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, bodyError(err)
		}
		values.Add(part.FormName(), string(text))
	}
}

// fromValues reads a form or a query. Keys it does not know are somebody
// else's: `token` is one.
func fromValues(values url.Values) (given, error) {
	g := given{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if inputs[key] == "" {
			continue
		}
		if inputs[key] == "tags" || inputs[key] == "to" {
			g[inputs[key]] = strings.Join(values[key], ",")
			continue
		}
		for _, value := range values[key] {
			if err := g.set(key, value); err != nil {
				return nil, err
			}
		}
	}
	return g.sparse(), nil
}

// set refuses a second, different value: two messages in one request are a
// mistake, and dropping one would hide it.
func (g given) set(key, value string) error {
	field := inputs[key]
	if earlier := g[field]; earlier != "" && value != "" && earlier != value {
		return bad(key, "says something else than an earlier %s; give one of them", field)
	}
	if value != "" {
		g[field] = value
	}
	return nil
}

// splitList takes a list apart at its commas.
func splitList(s string) []string {
	var list []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
