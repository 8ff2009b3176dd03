package httpfront

import (
	"net/http/httptest"
	"testing"
	"time"

	"patchwork/broker"
)

// TestAVisitReadsOnToTheEndOfWhatHasBegun asks, at some second of a visit, how much
// longer it lasts, with messages of which the last byte came at some other second.
func TestAVisitReadsOnToTheEndOfWhatHasBegun(t *testing.T) {
	type open struct {
		late bool // it came in mid-message
		fed  int
	}
	for name, c := range map[string]struct {
		query string
		at    int
		open  []open
		left  int
	}{
		"nothing is under way":            {"for=3s&rest=30s", 1, nil, 2},
		"nothing is, and it is over":      {"for=3s&rest=30s", 3, nil, 0},
		"as long again, if nobody says":   {"for=3s", 4, []open{{false, 4}}, 2},
		"and no longer":                   {"for=3s", 6, []open{{false, 6}}, 0},
		"while it comes":                  {"for=3s&rest=30s", 10, []open{{false, 9}}, 2},
		"it pauses for too long":          {"for=3s&rest=30s", 10, []open{{false, 7}}, 0},
		"an early pause ends nothing":     {"for=3s&rest=30s", 4, []open{{false, 0}}, 2},
		"no message is followed for good": {"for=3s&rest=30s", 32, []open{{false, 32}}, 1},
		"its beginning went to others":    {"for=3s&rest=30s", 5, []open{{true, 5}}, 1},
		"one of two still comes":          {"for=3s&rest=30s", 20, []open{{false, 4}, {false, 19}, {true, 20}}, 2},
		"no rest":                         {"for=3s&rest=0", 4, []open{{false, 4}}, 2},
	} {
		begun := time.Unix(1_000, 0)
		at := func(second int) time.Time { return begun.Add(time.Duration(second) * time.Second) }
		v, err := newVisit(httptest.NewRequest("GET", "/p/x?"+c.query, nil), begun)
		if err != nil {
			t.Fatal(err)
		}
		var asm assembler
		for _, o := range c.open {
			for range asm.add(broker.Event{Info: &broker.Info{}, Data: []byte("x"), First: !o.late}, at(o.fed)) {
			}
		}
		if left := v.left(at(c.at), &asm); left != time.Duration(c.left)*time.Second {
			t.Errorf("%s: it lasts %v more, want %d s", name, left, c.left)
		}
	}
}
