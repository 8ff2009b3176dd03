package httpfront_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

func TestRestIsForFollowersThatEnd(t *testing.T) {
	r := start(t)
	wantLine(t, r.get("/p/window?rest=9", "Accept", "application/x-ndjson"), 400, "say ?for= as well")
	wantLine(t, r.get("/p/window?for=1&rest=x", "Accept", "application/x-ndjson"), 400, "bad ?rest=")
	for _, path := range []string{"/p/window?follow=true&rest=1", "/p/window?follow=true&for=1", "/topic/window?for=1", "/p/window?for=1"} {
		wantLine(t, r.get(path), 400, "for followers of events or lines")
	}
}

func TestATypeWithAWeightOfZeroIsNotAccepted(t *testing.T) {
	r := start(t)
	for accept, want := range map[string]string{
		"text/html":                      "text/html",
		"text/plain;q=0, text/html;q=.5": "text/html",
		"text/html;q=0":                  "text/plain",
		"text/html; level=1; Q=0.000":    "text/plain",
	} {
		if a := r.get("/", "Accept", accept); !strings.HasPrefix(a.header.Get("Content-Type"), want) {
			t.Errorf("Accept: %s gets %s", accept, a.header.Get("Content-Type"))
		}
	}
}

// TestAFollowerHearsThatAMessageHadBegunBefore joins in the middle of one.
func TestAFollowerHearsThatAMessageHadBegunBefore(t *testing.T) {
	r := start(t)
	first := r.dial("GET /p/begun?for=5s HTTP/1.0\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
	r.followers("begun", 1)
	body, writing := io.Pipe()
	sent := later(func() answer { return r.do("POST", "/p/begun?pubsub", body) })
	io.WriteString(writing, "beginning\n") //nolint:errcheck // the followers read it
	res, _ := first.answer()
	lines := bufio.NewReader(res.Body)
	begun, err := lines.ReadString('\n')
	if err != nil || strings.Contains(begun, `"late"`) || !strings.Contains(begun, "beginning") {
		t.Errorf("who has the beginning hears %s, %v", begun, err)
	}
	second := later(func() answer { return r.get("/p/begun?for=500ms", "Accept", "application/x-ndjson") })
	r.followers("begun", 2)
	io.WriteString(writing, "end\n") //nolint:errcheck // the followers read it
	writing.Close()
	want(t, soon(t, sent), 200, "")
	end, err := lines.ReadString('\n')
	if err != nil || strings.Contains(end, `"late"`) || !strings.Contains(end, `"part":2,"end":true`) {
		t.Errorf("then it hears %s, %v", end, err)
	}
	if a := soon(t, second); a.err != nil || !strings.Contains(a.body, `"late":true`) || strings.Contains(a.body, "beginning") || !strings.Contains(a.body, `"end\n"`) {
		t.Errorf("who came later hears %s, %v", a.body, a.err)
	}
}
