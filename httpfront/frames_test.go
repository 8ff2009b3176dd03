package httpfront

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"encoding/base64"

	"patchwork/broker"
)

// assemble feeds data to an assembler in pieces, with a pause after those whose
// bit in pauses is set, and returns the frames.
func assemble(data []byte, piece int, pauses uint64, cut bool) (frames []frame) {
	var a assembler
	info := &broker.Info{ID: 1}
	now := time.Now()
	keep := func(f frame) { f.data = bytes.Clone(f.data); frames = append(frames, f) }
	first := true
	for i := 0; ; i++ {
		n := min(len(data), max(piece, 1))
		e := broker.Event{Info: info, Data: data[:n], First: first, Last: n == len(data)}
		e.Cut = cut && e.Last
		data, first = data[n:], false
		for f := range a.add(e, now) {
			keep(f)
		}
		if e.Last {
			if len(a.open) != 0 {
				panic("the assembler remembers a message that is over")
			}
			return frames
		}
		if pauses>>(i%64)&1 == 1 {
			now = now.Add(partDelay)
			for f := range a.due(now) {
				keep(f)
			}
		}
	}
}

func FuzzFramesJoinToTheMessage(f *testing.F) {
	f.Add([]byte("line\nline\n"), 3, uint64(0), 1, false)
	f.Add([]byte("käse\xff\r\n"), 1, uint64(5), 30_000, true)
	f.Add([]byte("€"), 1, ^uint64(0), 1, false)
	f.Fuzz(func(t *testing.T, seed []byte, piece int, pauses uint64, times int, cut bool) {
		data := bytes.Repeat(seed, min(max(times, 1), 1+300_000/(len(seed)+1)))
		piece = max(piece, len(data)/500)
		frames := assemble(data, piece, pauses, cut)
		var joined []byte
		for i, fr := range frames {
			joined = append(joined, fr.data...)
			if len(fr.data) > wholeLimit {
				t.Fatalf("a frame of %d bytes", len(fr.data))
			}
			last := i == len(frames)-1
			if fr.part == 0 && len(frames) != 1 || fr.part != 0 && fr.part != i+1 || fr.end != (last && fr.part > 0) || fr.cut != (last && cut) {
				t.Fatalf("frame %d of %d: part %d, end %v, cut %v", i, len(frames), fr.part, fr.end, fr.cut)
			}
			if pauses == 0 && utf8.Valid(data) && !utf8.Valid(fr.data) { // half a character that waited too long goes out alone
				t.Fatalf("frame %d is cut in the middle of a character", i)
			}
		}
		if !bytes.Equal(joined, data) {
			t.Fatalf("%d bytes came of %d", len(joined), len(data))
		}
		if len(data) <= wholeLimit && pauses == 0 && !cut && (len(frames) != 1 || frames[0].part != 0) {
			t.Fatalf("%d bytes in time came in %d frames", len(data), len(frames))
		}
		if len(data) > wholeLimit && len(frames) == 1 {
			t.Fatal("a long message came whole")
		}
	})
}

func TestPartsAreCutAtLineEnds(t *testing.T) {
	data := bytes.Repeat([]byte(strings.Repeat("x", 999)+"\n"), 200)
	frames := assemble(data, 50_000, 0, false)
	for i, f := range frames[:len(frames)-1] {
		if f.data[len(f.data)-1] != '\n' {
			t.Errorf("part %d ends in mid-line", i+1)
		}
	}
}

func TestAWholeEventOverTheLimitGoesOutInParts(t *testing.T) { // a replay buffer may be larger than the limit
	if frames := assemble(make([]byte, 200_000), 200_000, 0, false); len(frames) < 4 {
		t.Errorf("%d frames", len(frames))
	}
}

// parseSSE is a parser as the standard describes it (WHATWG HTML, 9.2.6).
func parseSSE(text string) (events []struct{ kind, data string }) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	kind, data := "", ""
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			if data != "" {
				events = append(events, struct{ kind, data string }{kind, strings.TrimSuffix(data, "\n")})
			}
			kind, data = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data += value + "\n"
		case "event":
			kind = value
		}
	}
	return events
}

func FuzzServerSentEventsDecodeToTheMessage(f *testing.F) {
	for _, s := range []string{"", "\n", "a\n\nb", " lead", ":x", "data: y", "a\r\nb\rc", "\xff\xfe", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		info := &broker.Info{ID: 7}
		text := string(sse{}.append(nil, frame{info: info, data: data}))
		events := parseSSE(text + string(sse{}.beat(nil)))
		if len(events) != 1 {
			t.Fatalf("%d events in %q", len(events), text)
		}
		got := events[0].data
		if events[0].kind == "base64" {
			raw, err := base64.StdEncoding.DecodeString(got)
			if err != nil {
				t.Fatal(err)
			}
			got = string(raw)
		}
		want := string(data)
		if utf8.Valid(data) { // the format knows one line end only
			want = strings.ReplaceAll(strings.ReplaceAll(want, "\r\n", "\n"), "\r", "\n")
		}
		if got != want {
			t.Fatalf("%q came as %q", want, got)
		}

		line := ndjson{}.append(nil, frame{info: info, data: data})
		var j struct {
			Body   string `json:"body"`
			Base64 []byte `json:"body_base64"`
		}
		if bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("more than a line: %q", line)
		}
		if err := json.Unmarshal(line, &j); err != nil || j.Body+string(j.Base64) != string(data) {
			t.Fatalf("%q came as %q (%v)", data, line, err)
		}
	})
}
