package notify

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

func request(method, target, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestParseRequest(t *testing.T) {
	text := func(s string) Message { return Message{Format: Plain, Text: s} }
	all := Message{Format: Markdown, Title: "Alert", Text: "Something **important**", Room: "!r:m.org", Priority: 4, Tags: []string{"a", "b"}}
	for _, test := range []struct {
		name string
		r    *http.Request
		want Message
		to   string
	}{
		{"curl -d TEXT", request("POST", "/", formType, "Backup done"), text("Backup done"), ""},
		{"curl -d TEXT with = & % +", request("POST", "/", formType, "a=b & 100% + c"), text("a=b & 100% + c"), ""},
		{"curl -d JSON", request("POST", "/", formType, `{"message":"hi","type":"html"}`), Message{Format: HTML, Text: "hi"}, ""},
		{"curl -d other JSON", request("POST", "/", formType, `{"a":1}`), text(`{"a":1}`), ""},
		{"curl -d form", request("POST", "/", formType, "message=Something+**important**&type=markdown&title=Alert&room=!r:m.org&priority=high&tags=a,b&to=x"), all, "x"},
		{"JSON", request("POST", "/", jsonType, `{"type":"markdown","title":"Alert","message":"Something **important**","room":"!r:m.org","priority":4,"tags":["a","b"],"to":["x","y"],"other":{}}`), all, "x,y"},
		{"JSON, nulls", request("PUT", "/", "application/vnd.x+json; charset=utf-8", `{"content":"hi","title":null,"priority":"2"}`), Message{Format: Plain, Text: "hi", Priority: 2}, ""},
		{"plain", request("POST", "/?title=T&to=a,b&token=x", "text/plain", "line 1\nline 2\n"), Message{Format: Plain, Title: "T", Text: "line 1\nline 2"}, "a,b"},
		{"no type", request("POST", "/", "", "hi"), text("hi"), ""},
		{"text/markdown", request("POST", "/", "text/markdown", "# hi"), Message{Format: Markdown, Text: "# hi"}, ""},
		{"text/html", request("POST", "/", "text/html; charset=UTF-8", "<b>hi</b>"), Message{Format: HTML, Text: "<b>hi</b>"}, ""},
		{"GET", request("GET", "/?body=hi+there&type=HTML&title=T", "", ""), Message{Format: HTML, Title: "T", Text: "hi there"}, ""},
		{"GET, the same twice", request("GET", "/?body=hi&message=hi", "", ""), text("hi"), ""},
		{"POST with the message in the query", request("POST", "/?message=hi", formType, ""), text("hi"), ""},
		{"the body comes first", request("POST", "/?message=query&title=Q", jsonType, `{"message":"body"}`), Message{Format: Plain, Title: "Q", Text: "body"}, ""},
		{"an alias", request("POST", "/?room=%23ops:m.org", "", "hi"), Message{Format: Plain, Text: "hi", Room: "#ops:m.org"}, ""},
	} {
		got, to, err := ParseRequest(test.r)
		if err != nil || !reflect.DeepEqual(got, test.want) || to != test.to {
			t.Errorf("%s: %+v, %q, %v; want %+v, %q", test.name, got, to, err, test.want, test.to)
		}
	}
}

func TestParseRequestMultipart(t *testing.T) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("message", "hi")
	_ = form.WriteField("title", "T")
	_ = form.Close()
	got, _, err := ParseRequest(request("POST", "/", form.FormDataContentType(), body.String()))
	if err != nil || got.Text != "hi" || got.Title != "T" {
		t.Errorf("%+v, %v", got, err)
	}
	body.Reset()
	form = multipart.NewWriter(&body)
	file, _ := form.CreateFormFile("message", "a.txt")
	fmt.Fprint(file, "hi")
	_ = form.Close()
	if _, _, err := ParseRequest(request("POST", "/", form.FormDataContentType(), body.String())); err == nil || err.Error() != "message: is a file; send its text as a field" {
		t.Error(err)
	}
}

func TestParseRequestNamesTheBadField(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		r    *http.Request
		want string
	}{
		{request("POST", "/", formType, ""), "message: missing; give one of message, content, body"},
		{request("GET", "/", "", ""), "message: missing; give one of message, content, body"},
		{request("POST", "/", jsonType, `{"message":" \n"}`), "message: missing; give one of message, content, body"},
		{request("POST", "/", formType, "title=x"), "message: missing; give one of message, content, body"},
		{request("HEAD", "/?body=a", "", ""), "method: notifications are sent with POST, or GET with a query"},
		{request("DELETE", "/", "", ""), "method: notifications are sent with POST, or GET with a query"},
		{request("POST", "/?type=bold", "", "hi"), `type: "bold" is not one of plain, markdown, html`},
		{request("POST", "/", "", big), "message: longer than 65536 bytes"},
		{request("POST", "/", formType, "message="+big), "message: longer than 65536 bytes"},
		{request("POST", "/", jsonType, `{"message":"`+big+`"}`), "message: longer than 65536 bytes"},
		{request("POST", "/", jsonType, `{"message":"`+big[:MaxMessage+1]+`"}`), "message: longer than 65536 bytes"},
		{request("POST", "/", "", "a\xffb"), "message: not UTF-8 text"},
		{request("GET", "/?body=%ff", "", ""), "message: not UTF-8 text"},
		{request("GET", "/?body=%zz", "", ""), "query: not percent-encoded as it should be"},
		{request("POST", "/", jsonType, `{"message":`), "body: not valid JSON at byte 11: unexpected end of JSON input"},
		{request("POST", "/", jsonType, `{"message":"a"} x`), "body: not valid JSON at byte 17: invalid character 'x' after top-level value"},
		{request("POST", "/", jsonType, `["a"]`), `body: not a JSON object; send {"message": …}`},
		{request("POST", "/", jsonType, `null`), `body: not a JSON object; send {"message": …}`},
		{request("POST", "/", jsonType, `{"message":1}`), "message: must be a string"},
		{request("POST", "/", jsonType, `{"body":"a","type":{}}`), "type: must be a string"},
		{request("POST", "/", jsonType, `{"body":"a","priority":[]}`), "priority: must be a number or a string"},
		{request("POST", "/", jsonType, `{"body":"a","priority":9}`), `priority: "9" is not one of 1 to 5, min, low, default, high, max`},
		{request("POST", "/", jsonType, `{"body":"a","tags":[1]}`), "tags: must be a list of strings, or a string with commas"},
		{request("POST", "/", jsonType, `{"body":"a","content":"b"}`), "content: says something else than an earlier message; give one of them"},
		{request("GET", "/?body=a&title=b%0Ac", "", ""), "title: has a line end or another control character"},
		{request("GET", "/?body=a&title="+big[:600], "", ""), "title: longer than 512 bytes"},
		{request("GET", "/?body=a&tags="+strings.Repeat("a,", 17), "", ""), "tags: more than 16 of them"},
		{request("GET", "/?body=a&tags=a%00", "", ""), "tags: has a line end or another control character"},
		{request("GET", "/?body=a&room=lobby", "", ""), `room: "lobby" is not a room; rooms are !id:server or #alias:server`},
		{request("GET", "/?body=a&room=%23lobby", "", ""), `room: "#lobby" is not a room; rooms are !id:server or #alias:server`},
		{request("GET", "/?body=a&room=!a%20b", "", ""), `room: "!a b" is not a room; rooms are !id:server or #alias:server`},
		{request("POST", "/", "text/plain; charset=latin1", "a"), `Content-Type: charset "latin1" is not understood; send UTF-8`},
		{request("POST", "/", "text", "a"), ""},
		{request("POST", "/", "a;;", "a"), `Content-Type: "a;;" is not a media type`},
		{request("POST", "/", "multipart/form-data", "a"), "Content-Type: multipart/form-data without a boundary"},
	} {
		_, _, err := ParseRequest(test.r)
		if test.want == "" && err == nil {
			continue
		}
		var input *InputError
		if !errors.As(err, &input) || err.Error() != test.want {
			t.Errorf("%s %s: %v, want %s", test.r.Method, clip(test.r.URL.String(), 60), err, test.want)
		}
	}
}

func TestReadText(t *testing.T) {
	if text, err := ReadText(strings.NewReader("a\nb\r\n")); text != "a\nb" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ReadText(strings.NewReader(strings.Repeat("x", MaxMessage+1))); err == nil || err.Error() != "message: longer than 65536 bytes" {
		t.Error(err)
	}
}

// FuzzParseRequest: what is let in is a message that Send accepts, and a form of
// it says the same.
func FuzzParseRequest(f *testing.F) {
	f.Add("POST", "title=a", formType, "message=hi&tags=a")
	f.Add("POST", "", jsonType, `{"message":"hi","priority":3}`)
	f.Add("GET", "body=a&room=!b", "", "")
	f.Fuzz(func(t *testing.T, method, query, contentType, body string) {
		if method != "GET" {
			method = "POST"
		}
		r := request(method, "/", contentType, body)
		r.URL.RawQuery = query
		m, to, err := ParseRequest(r)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("more than one line: %q", err)
			}
			return
		}
		if err := m.Check(); err != nil {
			t.Fatalf("%+v was let in: %v", m, err)
		}
		form := url.Values{
			"message": {m.Text}, "type": {string(m.Format)}, "title": {m.Title}, "room": {m.Room},
			"priority": {fmt.Sprint(int(m.Priority))}, "tags": {strings.Join(m.Tags, ",")}, "to": {to},
		}
		if m.Priority == 0 {
			form.Del("priority")
		}
		again, toAgain, err := ParseRequest(request("POST", "/", formType, form.Encode()))
		if err != nil || !reflect.DeepEqual(again, m) || toAgain != to {
			t.Fatalf("%+v, %q came back as %+v, %q, %v", m, to, again, toAgain, err)
		}
	})
}
