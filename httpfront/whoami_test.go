package httpfront_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"patchwork/httpfront"
)

// whoami is the answer of the endpoint of that name.
type whoami struct {
	Address   string    `json:"address"`
	Port      int       `json:"port"`
	Forwarded bool      `json:"forwarded"`
	Trusted   bool      `json:"trusted"`
	TrustsYou bool      `json:"trusts_you"`
	Protocol  string    `json:"protocol"`
	Host      string    `json:"host"`
	Time      time.Time `json:"time"`
}

func TestWhoamiTellsTheCallerHowItIsCounted(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, test := range map[string]struct {
		trusted   []netip.Prefix
		forwarded string
		want      whoami
	}{
		"alone":                     {nil, "", whoami{Address: "127.0.0.1"}},
		"with a proxy not believed": {nil, "198.51.100.1", whoami{Address: "127.0.0.1", Forwarded: true}},
		"with a trusted proxy":      {loopback, "198.51.100.1", whoami{Address: "198.51.100.1", Forwarded: true, Trusted: true}},
		"as a trusted proxy":        {loopback, "", whoami{Address: "127.0.0.1", Trusted: true, TrustsYou: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *httpfront.Config) { c.TrustedProxies = test.trusted })
			headers := []string{"X-Internal-Secret", secretSecret}
			if test.forwarded != "" {
				headers = append(headers, "X-Forwarded-For", test.forwarded)
			}
			a := r.get("/_/whoami", headers...)
			var got whoami
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.code != 200 {
				t.Fatalf("got %+v: %v", a, err)
			}
			if got.Port == 0 || time.Since(got.Time).Abs() > time.Minute {
				t.Errorf("port %d, time %s", got.Port, got.Time)
			}
			test.want.Protocol, test.want.Host = "HTTP/1.1", r.addr
			test.want.Port, test.want.Time = got.Port, got.Time
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			var all map[string]any
			if err := json.Unmarshal([]byte(a.body), &all); err != nil || len(all) != 8 {
				t.Errorf("there is more in it: %s", a.body)
			}
		})
	}
}

func TestWhoamiNeedsNoTokenAndIsRateLimited(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.RateLimit = 1 })
	wantLine(t, r.post("/_/whoami", ""), 405, "allowed are GET")
	wantLine(t, r.get("/_/nothing"), 404, "whoami")
	wantLine(t, r.get("/_/stats"), 401, "token")
	for range 100 {
		if r.get("/_/whoami").code == 429 {
			return
		}
	}
	t.Error("a hundred at once are answered")
}
