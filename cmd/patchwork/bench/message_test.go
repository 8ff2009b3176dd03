package bench

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBenchMessagesAreFoundInWhateverIsAroundThem(t *testing.T) {
	whole := func(n, size int) string {
		text, _ := io.ReadAll(numbered("run", n, size))
		if len(text) != size {
			t.Fatalf("%d bytes, want %d", len(text), size)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		stream string
		want   string
	}{
		"nothing":          {"", "EOF"},
		"one":              {whole(3, 64), "3 EOF"},
		"two":              {whole(0, 64) + whole(1, 100), "0 1 EOF"},
		"lines around":     {"[\n" + whole(0, 64) + "\r\n[b\n" + whole(1, 64) + "]", "0 1 EOF"},
		"in JSON":          {`{"id":"x","message":"` + whole(5, 64) + `"}` + "\n", "5 EOF"},
		"another run":      {strings.ReplaceAll(whole(0, 64), "run", "RUN") + whole(1, 64), "1 EOF"},
		"long":             {whole(0, 1<<20) + whole(1, 64), "0 1 EOF"},
		"cut in the head":  {whole(0, 64)[:6], "cut"},
		"cut in the mark":  {whole(0, 64)[:3], "cut"},
		"cut in the dots":  {whole(0, 64)[:30], "cut"},
		"cut in the tail":  {whole(1, 64) + whole(0, 64)[:60], "1 cut"},
		"changed":          {strings.Replace(whole(0, 64), "...", ".!.", 1) + whole(1, 64), "damaged 1 EOF"},
		"another tail":     {strings.Replace(whole(0, 64), "[e run 0]", "[e run 1]", 1) + whole(1, 64), "damaged 1 EOF"},
		"no number":        {"[b run x y]" + whole(1, 64), "damaged 1 EOF"},
		"impossibly short": {"[b run 1 5]" + whole(1, 64), "damaged 1 EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.stream), iotest.OneByteReader(strings.NewReader(test.stream))} {
				var got []string
				for s := scan(r, "run"); ; {
					n, err := s.next()
					switch {
					case err == nil:
						got = append(got, strconv.Itoa(n))
						continue
					case errors.Is(err, errDamaged):
						got = append(got, "damaged")
						continue
					case errors.Is(err, io.ErrUnexpectedEOF):
						got = append(got, "cut")
					default:
						got = append(got, err.Error())
					}
					break
				}
				if text := strings.Join(got, " "); text != test.want {
					t.Errorf("got %q, want %q", text, test.want)
				}
			}
		})
	}
}

func FuzzBenchMessagesAreFound(f *testing.F) {
	f.Add("data: ", "\n\n", uint16(7), uint16(64))
	f.Add("[b run 1 ", "]", uint16(0), uint16(40000))
	f.Fuzz(func(t *testing.T, before, after string, n, size uint16) {
		around := strings.NewReplacer("[b run ", "")
		stream := io.MultiReader(strings.NewReader(around.Replace(before)+"\n"), numbered("run", int(n), max(int(size), leastSize)), strings.NewReader("\n"+around.Replace(after)))
		s := scan(stream, "run")
		if got, err := s.next(); err != nil || got != int(n) {
			t.Fatalf("got %d (%v), want %d", got, err, n)
		}
		for {
			if got, err := s.next(); err == nil {
				t.Fatalf("%d was made up", got)
			} else if !errors.Is(err, errDamaged) {
				return
			}
		}
	})
}
