package httpfront

import "net/http"

// open lets pages of any origin read a response. There are no credentials that a
// browser would add by itself, so there is nothing to protect by origin.
func open(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "*")
}

// preflight answers a browser's question whether it may send a request.
func (s *Server) preflight(w *response) error {
	h := w.Header()
	open(h)
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "*, Authorization")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
