package sshfront

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTokenSaysWhatItIsGoodFor(t *testing.T) {
	d := open(t, func(c *Config) {
		c.SignToken = func(_ context.Context, who Caller, get, post []string, ttl time.Duration) (string, error) {
			switch get[0] {
			case "secret":
				return "", fmt.Errorf("%w: no", ErrToken)
			case "broken":
				return "", errors.New("out of ink")
			}
			return fmt.Sprint(who.Namespace(), get, post, ttl), nil
		}
	})
	key := newKey(t)
	c := d.dial(key)
	own := KeyNamespace(key.PublicKey())
	for cmd, want := range map[string]string{
		"token": "[*] [*] 24h0m0s",
		"token -get 'a/*' -get !a/b -post /c -ttl 90s": "[a/* !a/b] [/c] 1m30s",
		"token -get=x -ttl 30d":                        "[x] [] 720h0m0s",
	} {
		code, out, stderr := do(t, c, cmd, "")
		if code != 0 || out != own+want+"\n" || !strings.Contains(stderr, "good until") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	if _, _, stderr := do(t, c, "token -c", ""); stderr != "" {
		t.Errorf("-c says %q", stderr)
	}
	for cmd, want := range map[string]string{"token -get secret": "no token: no\n", "token -get broken": "internal error"} {
		if code, out, stderr := do(t, c, cmd, ""); code != 1 || out != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
}

func TestWithoutASignerThereAreNoTokens(t *testing.T) {
	d := open(t, nil)
	if code, out, stderr := do(t, d.dial(newKey(t)), "token", ""); code != 1 || out != "" || !strings.Contains(stderr, "not available") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

func TestAClosedServerLeavesUnknownKeysWhatIsPublic(t *testing.T) {
	d := open(t, func(c *Config) {
		c.Closed = true
		c.SignToken = func(context.Context, Caller, []string, []string, time.Duration) (string, error) { return "x", nil }
	})
	c := d.dial(newKey(t))
	sub := start(t, c, "sub -p news")
	d.subscribers(parse(t, "public/news"), 1)
	if code, _, stderr := do(t, c, "pub -p news", "x"); code != 0 {
		t.Error(code, stderr)
	}
	if code := sub.wait(); code != 0 || sub.out.String() != "x" {
		t.Errorf("%d %q", code, sub.out.String())
	}
	for _, cmd := range []string{"sub mine", "pub -e mine", "pipe mine", "sub '*'", "token", "pub -e queue/x", "sub res/x"} {
		if code, out, stderr := do(t, c, cmd, ""); code != 1 || out != "" || !strings.HasPrefix(stderr, "access denied") {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	if code, _, _ := do(t, c, "ls", ""); code != 0 {
		t.Error("ls", code)
	}
}
