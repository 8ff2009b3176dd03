package doctor

import (
	pacing "golang.org/x/time/rate"

	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"patchwork/cmd/patchwork/client"
)

// unconnected is an exam without a command line.
func unconnected(base *url.URL) *exam {
	e := &exam{
		cl:   &client.Client{Base: base, HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}},
		base: base, channel: "/p/doctor-test", pace: pacing.NewLimiter(pacing.Inf, 1), tls: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	e.connect()
	return e
}

func TestDoctorLooksAtThePortWithoutTLS(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	closed, err := url.Parse(gone.URL)
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, test := range map[string]struct {
		status int
		to     string
		want   Verdict
	}{
		"closed":                   {0, "", VerdictOK},
		"the relay itself":         {200, "", VerdictWarn},
		"another site":             {404, "", VerdictOK},
		"redirects":                {301, "https://127.0.0.1/healthz", VerdictWarn},
		"redirects, and well":      {308, "https://127.0.0.1/healthz", VerdictOK},
		"redirects somewhere else": {301, "https://example.org/", VerdictOK},
	} {
		t.Run(name, func(t *testing.T) {
			plain := closed
			if test.status > 0 {
				s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", test.to)
					w.WriteHeader(test.status)
				}))
				defer s.Close()
				plain, _ = url.Parse(s.URL)
			}
			e := unconnected(&url.URL{Scheme: "https", Host: "127.0.0.1"})
			defer e.close()
			got := e.plainDoor(t.Context(), plain)
			if len(got) != 1 || got[0].Verdict != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}
