package httpfront

import (
	"net/http"
	"slices"
	"strings"

	"patchwork/broker"
)

// httpipe serves what is special to /channels: DELETE, and the lists of names
// that are in use (github.com/ckampfe/httpipe). It is called with the decoded
// path behind /channels; ok is false for what is an ordinary request on a
// channel.
func (s *Server) httpipe(w *response, r *http.Request, path string) (ok bool, err error) {
	path = strings.Trim(path, "/")
	_, _, isChannel := strings.Cut(path, "/")
	switch {
	case r.Method == http.MethodDelete && path != "":
		for _, n := range s.channelsUnder(path) {
			s.broker.Destroy(n)
		}
		open(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return true, nil
	case isChannel:
		return false, nil
	case r.Method == http.MethodGet:
		names := []string{}
		for _, n := range s.channelsUnder(path) {
			names = append(names, n.Topic())
		}
		return true, s.json(w, names)
	case path == "":
		return true, notAllowed("GET")
	}
	return true, notAllowed("GET, DELETE; a channel is /channels/NAMESPACE/NAME")
}

// channelsUnder returns the live httpipe channels: all, those of a namespace, or
// the one that path names; sorted.
func (s *Server) channelsUnder(path string) []broker.Name {
	var names []broker.Name
	s.broker.Each(func(n broker.Name, _ broker.Counts) {
		if n.Namespace() != "channels" {
			return
		}
		topic := n.Topic()
		if path == "" || topic == path || !strings.Contains(path, "/") && strings.HasPrefix(topic, path+"/") {
			names = append(names, n)
		}
	})
	slices.SortFunc(names, func(a, b broker.Name) int { return strings.Compare(a.String(), b.String()) })
	return names
}
