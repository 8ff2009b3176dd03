package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// A health is the page /health: one line of JSON, 200 when both connections stand
// and 503 when one does not. It tells numbers and no names, for whoever is in the
// container's network can read it.
type health struct {
	Well   bool   `json:"well"`
	Docker string `json:"docker"` // "connected" or why not
	Relay  string `json:"relay"`
	watchCount
	queueCount
}

func newHealth(s *status, w watchCount, q queueCount) health {
	docker, relay := s.get()
	state := func(err error) string {
		if err != nil {
			return "not connected: " + oneLine(err)
		}
		return "connected"
	}
	return health{docker == nil && relay == nil, state(docker), state(relay), w, q}
}

// healthServer serves /health of what look returns, and nothing else.
func healthServer(look func() health) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		h := look()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !h.Well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		text := json.NewEncoder(w)
		text.SetEscapeHTML(false)
		_ = text.Encode(h) // the client may be gone
	})
	return &http.Server{
		Handler:        mux,
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   5 * time.Second,
		IdleTimeout:    30 * time.Second,
		MaxHeaderBytes: 8 << 10,
	}
}

// why says in a few words what is wrong.
func (h health) why() string {
	var wrong []string
	if h.Docker != "connected" {
		wrong = append(wrong, "Docker is "+h.Docker)
	}
	if h.Relay != "connected" {
		wrong = append(wrong, "the relay is "+h.Relay)
	}
	return strings.Join(wrong, "; ")
}
