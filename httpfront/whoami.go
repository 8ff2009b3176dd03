package httpfront

import (
	"net/http"
	"net/netip"
	"time"
)

// whoami tells a client how its own request arrived, so that it can find out what
// a proxy in between made of it ('patchwork doctor' does). It is open to all and
// counts against the rate limit. It tells nobody anything about others: the
// address is the one that the caller's limits go by. Behind a proxy that is not in
// --trusted-proxies that is the proxy's, which is the mistake it is there to show.
// What else a proxy may have added to the request is not shown.
func (s *Server) whoami(w *response, r *http.Request, _ string) error {
	leave, err := s.limits.enter(r, true)
	if err != nil {
		return err
	}
	defer leave()
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero port says that there is none
	caller := s.limits.client(r)
	return s.json(w, struct {
		Address   string    `json:"address"` // as it is counted
		Port      uint16    `json:"port"`    // that the connection came from
		Forwarded bool      `json:"forwarded"`
		Trusted   bool      `json:"trusted"`
		TrustsYou bool      `json:"trusts_you"`
		Protocol  string    `json:"protocol"`
		Host      string    `json:"host"`
		Time      time.Time `json:"time"`
	}{
		Address:   caller.String(),
		Port:      peer.Port(),
		Forwarded: r.Header.Get("X-Forwarded-For") != "",
		Trusted:   s.limits.trusts(s.limits.peer(r)), // what X-Forwarded-For says is believed
		TrustsYou: s.limits.trusts(caller),           // and would be if the caller wrote it
		Protocol:  r.Proto,
		Host:      r.Host,
		Time:      time.Now().UTC(),
	})
}
