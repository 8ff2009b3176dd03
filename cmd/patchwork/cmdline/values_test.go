package cmdline

import "testing"

func TestSizesHaveUnits(t *testing.T) {
	for text, want := range map[string]int{
		"1": 1, "1024": 1024, "512B": 512, "64KiB": 64 << 10, "64k": 64 << 10, "2 MiB": 2 << 20, "1G": 1 << 30,
	} {
		if got, err := Size(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
}

func TestWhatIsNoValueIsAnError(t *testing.T) {
	for name, read := range map[string]func(string) error{
		"size":     func(s string) error { _, err := Size(s); return err },
		"count":    func(s string) error { _, err := Count(s); return err },
		"port":     func(s string) error { _, err := Port(s); return err },
		"positive": func(s string) error { _, err := Positive(s); return err },
	} {
		for _, text := range []string{"", "x", "-2", "1e99", "99999999999999999999", "\x00"} {
			if err := read(text); err == nil {
				t.Errorf("%q is taken for a %s", text, name)
			}
		}
	}
	for _, text := range []string{"2GiB", "1025MiB", "0", "0x10"} {
		if n, err := Size(text); err == nil {
			t.Errorf("%q is %d bytes", text, n)
		}
	}
}
