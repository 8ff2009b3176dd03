package httpfront

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what this door counts. Every label comes from a closed set.
type metrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	messages *prometheus.CounterVec
	size     *prometheus.HistogramVec
	auth     *prometheus.CounterVec
	active   prometheus.Gauge
	page     http.Handler
}

// newMetrics registers them with registry, or with one of its own.
func newMetrics(s *Server, registry *prometheus.Registry) (*metrics, error) {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "patchwork_http_requests_total", Help: "HTTP requests answered.",
		}, []string{"method", "namespace", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "patchwork_http_request_duration_seconds", Help: "How long HTTP requests took, waiting included.",
			Buckets: []float64{.001, .01, .1, 1, 10, 60, 600, 3600},
		}, []string{"namespace"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "patchwork_messages_total", Help: "Messages that came in by HTTP.",
		}, []string{"namespace", "behavior"}),
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "patchwork_message_size_bytes", Help: "Sizes of messages that came in by HTTP.",
			Buckets: prometheus.ExponentialBuckets(64, 16, 8),
		}, []string{"namespace"}),
		auth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "patchwork_auth_requests_total", Help: "Requests that had to show a credential, by what came of it.",
		}, []string{"result"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "patchwork_active_connections", Help: "Requests under way: waiting, streaming, WebSockets.",
		}),
	}
	m.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	dropped := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "patchwork_http_invalid_headers_total", Help: "Header names and values of messages that were none and were dropped.",
	}, func() float64 { return float64(s.dropped.Load()) })
	for _, c := range []prometheus.Collector{m.requests, m.took, m.messages, m.size, m.auth, m.active, dropped} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var knownMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true,
}

// request books a request that is over.
func (m *metrics) request(w *response) {
	method := w.r.Method
	if !knownMethods[method] {
		method = "other"
	}
	space := namespaceLabel(w.r)
	m.requests.WithLabelValues(method, space, strconv.Itoa(w.status)).Inc()
	if w.sends {
		m.size.WithLabelValues(space).Observe(float64(w.received))
	}
	m.took.WithLabelValues(space).Observe(time.Since(w.begun).Seconds())
}

// namespaceLabel names the namespace of a path as a label: a user's name is none.
func namespaceLabel(r *http.Request) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch d, ok := doors[first]; {
	case !ok:
		return "none"
	case d.space == "":
		return "u"
	default:
		return d.space
	}
}

// message books a message that comes in; its size is booked when it is over.
func (m *metrics) message(w *response, c channel, behavior string) {
	w.sends = true
	m.messages.WithLabelValues(labelOf(c), behavior).Inc()
}

func labelOf(c channel) string {
	if c.space == "" {
		return "u"
	}
	return c.space
}

// allowed books whether a credential was good for what was asked.
func (m *metrics) allowed(err error) {
	result := "allowed"
	if err != nil {
		result = "denied"
	}
	m.auth.WithLabelValues(result).Inc()
}

// metrics serves the metrics: to this machine, unless a proxy stands in between,
// and to whoever has the token.
func (s *Server) metrics(w *response, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed("GET, HEAD")
	}
	_, forwarded := r.Header["Forwarded"]
	_, xForwarded := r.Header["X-Forwarded-For"]
	local := s.limits.peer(r).IsLoopback() && !forwarded && !xForwarded
	if !local && !s.metricsToken(r) {
		return &httpError{http.StatusUnauthorized, "metrics need the server's metrics token",
			http.Header{"Www-Authenticate": {`Bearer realm="patchwork metrics"`}}}
	}
	s.metric.page.ServeHTTP(w, r)
	return nil
}

// metricsToken tells whether a request shows the token, compared in constant time.
func (s *Server) metricsToken(r *http.Request) bool {
	if s.cfg.MetricsToken == "" {
		return false
	}
	token := r.URL.Query().Get("token")
	if v := r.Header.Get("Authorization"); v != "" {
		token = v
		if kind, rest, ok := strings.Cut(v, " "); ok && (strings.EqualFold(kind, "Bearer") || strings.EqualFold(kind, "token")) {
			token = strings.TrimSpace(rest)
		}
	}
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.cfg.MetricsToken))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}
