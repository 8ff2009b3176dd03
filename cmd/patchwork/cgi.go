package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"patchwork/cmd/patchwork/client"
)

// maxCGI is how long the headers may be that an output begins with.
const maxCGI = 16 << 10

// answerBody is the output of a command. Its end is an error when the command
// fails, so that the answer is cut and not ended.
type answerBody struct {
	out  *bufio.Reader
	wait func() error
	once sync.Once
	err  error

	mu   sync.Mutex // guards the rest
	seen error
	over bool
}

func (a *answerBody) Read(p []byte) (int, error) {
	n, err := a.out.Read(p)
	if n == 0 && err != nil {
		if failed := a.end(); failed != nil {
			a.mu.Lock()
			a.seen = failed
			a.mu.Unlock()
			return 0, &client.SourceError{Err: failed}
		}
		return 0, io.EOF
	}
	return n, nil
}

// newAnswerBody reads a command's output from out; wait returns how it ended.
func newAnswerBody(out io.Reader, wait func() error) *answerBody {
	return &answerBody{out: bufio.NewReaderSize(out, maxCGI), wait: wait}
}

// failed is how the command failed while its output was read, nil if it did not.
func (a *answerBody) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// end waits for the command, which has nothing more to say.
func (a *answerBody) end() error {
	a.once.Do(func() {
		a.err = a.wait()
		a.mu.Lock()
		a.over = true
		a.mu.Unlock()
	})
	return a.err
}

// ended tells whether the command has ended, and not only its output.
func (a *answerBody) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.over
}

// head takes the CGI headers off the beginning of the output, where there are
// any. begun is false when the command ended without output.
// An error is about a header that cannot be sent.
func (a *answerBody) head() (header http.Header, begun bool, err error) {
	header = http.Header{}
	if _, err := a.out.Peek(1); err != nil {
		return header, false, nil //nolint:nilerr // how the command ended, its end says
	}
	var found http.Header
	size := 0
	for n := 1; ; n = a.out.Buffered() + 1 {
		seen, err := a.out.Peek(max(n, a.out.Buffered()))
		block, whole, possible := cgiBlock(seen)
		if whole {
			found, size = block, len(seen)-len(afterBlock(seen))
			break
		}
		if !possible || err != nil {
			return header, true, nil //nolint:nilerr // what is there goes out
		}
	}
	if found.Get("Content-Type") == "" && found.Get("Status") == "" && found.Get("Location") == "" {
		return header, true, nil // a text that looks like headers
	}
	a.out.Discard(size) //nolint:errcheck // it was peeked at
	for name, values := range found {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return header, true, fmt.Errorf("its header %s has characters that no header can carry: %.60q", name, v)
			}
		}
		switch name {
		case "Status":
			code, _, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
			header.Set("Patch-Status", code)
		case "Content-Type":
			header.Set(name, values[0])
		default:
			header["Patch-H-"+name] = values
		}
	}
	if found.Get("Location") != "" && found.Get("Status") == "" {
		header.Set("Patch-Status", "302")
	}
	return header, true, nil
}

// cgiBlock reads the lines up to the first empty one as headers. whole is true
// when that is there, possible is false when what is there are no headers.
func cgiBlock(seen []byte) (h http.Header, whole, possible bool) {
	h = http.Header{}
	rest := seen
	for {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !ended {
			return h, false, len(seen) < maxCGI && headerName(line, false)
		}
		if len(line) == 0 {
			return h, len(h) > 0, len(h) > 0
		}
		if !headerName(line, true) {
			return h, false, false
		}
		name, value, _ := strings.Cut(string(line), ":")
		h.Add(textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value))
		rest = after
	}
}

// afterBlock is what follows the first empty line.
func afterBlock(seen []byte) []byte {
	rest := seen
	for {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		if len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
			return after
		}
		rest = after
	}
}

// headerName tells whether a line begins with a header's name and its colon, or,
// when it is not whole, whether it could.
func headerName(line []byte, whole bool) bool {
	name, _, colon := bytes.Cut(line, []byte(":"))
	if !colon && whole || colon && len(name) == 0 {
		return false
	}
	for _, b := range name {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_') {
			return false
		}
	}
	return true
}

// cgi are the variables of a CGI program (RFC 3875) for a request.
func cgi(h http.Header) []string {
	uri := h.Get("Patch-Uri")
	path, query, _ := strings.Cut(uri, "?")
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	env := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_PROTOCOL=HTTP/1.1", "SERVER_SOFTWARE=patchwork",
		"REQUEST_METHOD=" + h.Get("Patch-Method"), "REQUEST_URI=" + uri, "SCRIPT_NAME=" + path, "PATH_INFO=",
		"QUERY_STRING=" + query, "CONTENT_TYPE=" + h.Get("Content-Type"), "PATCH_REPLY=" + h.Get("Patch-Reply"),
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		env = append(env, fmt.Sprintf("CONTENT_LENGTH=%d", n))
	}
	for name, values := range h {
		bare, ok := strings.CutPrefix(name, "Patch-H-")
		if !ok || bare == "Proxy" { // HTTP_PROXY would be an order to the command's own requests
			continue
		}
		variable := []byte("HTTP_" + strings.ToUpper(bare))
		for i, b := range variable {
			if !(b >= 'A' && b <= 'Z' || b >= '0' && b <= '9') {
				variable[i] = '_'
			}
		}
		env = append(env, string(variable)+"="+strings.Join(values, ", "))
	}
	return env
}
