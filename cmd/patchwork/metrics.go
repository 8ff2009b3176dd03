package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/sshfront"
	"patchwork/tunnel"
)

// newRegistry returns what /metrics shows besides the HTTP door's own: the
// broker, the users' rules, the SSH door (nil when it is off) and the process. A scrape reads each
// part's Stats once.
func newRegistry(b *broker.Broker, users *acl.Store, tunnels *tunnel.Registry, shell func() sshfront.Stats) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&statsCollector[broker.Stats]{read: b.Stats, rows: brokerRows},
		&statsCollector[acl.Stats]{read: users.Stats, rows: aclRows},
		cacheCollector{users},
		&statsCollector[tunnel.Stats]{read: tunnels.Stats, rows: tunnelRows},
	)
	if shell != nil {
		r.MustRegister(&statsCollector[sshfront.Stats]{read: shell, rows: sshRows})
	}
	return r
}

// A row is one number of a Stats under its metric's name.
type row[S any] struct {
	name, help string
	kind       prometheus.ValueType
	value      func(S) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var brokerRows = []row[broker.Stats]{
	// Its name is from before; it is a gauge, for which the ending is wrong, and
	// so it has no type.
	{"patchwork_channels_total", "Channels in use.", prometheus.UntypedValue, func(s broker.Stats) float64 { return float64(s.Channels) }},
	{"patchwork_waiting_producers", "Queue producers that wait for a consumer.", gauge, func(s broker.Stats) float64 { return float64(s.Producers) }},
	{"patchwork_waiting_consumers", "Receivers of one message that wait.", gauge, func(s broker.Stats) float64 { return float64(s.Consumers) }},
	{"patchwork_subscribers", "Followers, once for every channel they are on.", gauge, func(s broker.Stats) float64 { return float64(s.Subscribers) }},
	{"patchwork_publishers", "Broadcast publishers.", gauge, func(s broker.Stats) float64 { return float64(s.Publishers) }},
	{"patchwork_transfers", "Queue messages on their way to a receiver.", gauge, func(s broker.Stats) float64 { return float64(s.Transfers) }},
	{"patchwork_open_requests", "Requests on req/ channels without a whole answer.", gauge, func(s broker.Stats) float64 { return float64(s.Calls) }},
	{"patchwork_relayed_messages_total", "Messages that began to be handed over.", counter, func(s broker.Stats) float64 { return float64(s.Messages) }},
	{"patchwork_relayed_bytes_total", "Bytes handed to receivers.", counter, func(s broker.Stats) float64 { return float64(s.Bytes) }},
	{"patchwork_deliveries_total", "Receivers that got a message whole.", counter, func(s broker.Stats) float64 { return float64(s.Delivered) }},
	{"patchwork_redeliveries_total", "Queue messages handed on after a receiver left.", counter, func(s broker.Stats) float64 { return float64(s.Redelivered) }},
	{"patchwork_withdrawn_total", "Queue producers that left before they were served.", counter, func(s broker.Stats) float64 { return float64(s.Withdrawn) }},
	{"patchwork_evictions_total", "Receivers cut off for being too slow.", counter, func(s broker.Stats) float64 { return float64(s.Evicted) }},
	{"patchwork_dropped_chunks_total", "Chunks that a full receiver missed.", counter, func(s broker.Stats) float64 { return float64(s.Dropped) }},
	{"patchwork_held_back_total", "Times a full receiver held a publisher back.", counter, func(s broker.Stats) float64 { return float64(s.Held) }},
}

var sshRows = []row[sshfront.Stats]{
	{"patchwork_ssh_connections", "SSH connections.", gauge, func(s sshfront.Stats) float64 { return float64(s.Connections) }},
	{"patchwork_ssh_sessions", "SSH sessions.", gauge, func(s sshfront.Stats) float64 { return float64(s.Sessions) }},
	{"patchwork_ssh_forwards", "Connections forwarded over SSH.", gauge, func(s sshfront.Stats) float64 { return float64(s.Forwards) }},
}

var tunnelRows = []row[tunnel.Stats]{
	{"patchwork_tunnels", "Prefixes that are published now.", gauge, func(s tunnel.Stats) float64 { return float64(s.Prefixes) }},
	{"patchwork_tunnels_opened_total", "Prefixes opened.", counter, func(s tunnel.Stats) float64 { return float64(s.Opened) }},
	{"patchwork_tunnels_refused_total", "Prefixes refused.", counter, func(s tunnel.Stats) float64 { return float64(s.Refused) }},
}

var aclRows = []row[acl.Stats]{
	{"patchwork_acl_fetches_total", "Reads of users' rules, keys and lists from their source.", counter, func(s acl.Stats) float64 { return float64(s.Fetches) }},
	{"patchwork_acl_fetch_failures_total", "Of them, those that got no answer.", counter, func(s acl.Stats) float64 { return float64(s.Failures) }},
	{"patchwork_acl_stale_total", "Answers from rules older than they should be, because the source is down.", counter, func(s acl.Stats) float64 { return float64(s.Stale) }},
	{"patchwork_acl_refused_files_total", "Rules that had a mistake, each time they were read.", counter, func(s acl.Stats) float64 { return float64(s.Refused) }},
	{"patchwork_acl_users", "Users whose rules are kept.", gauge, func(s acl.Stats) float64 { return float64(s.Users) }},
	{"patchwork_acl_source_down_seconds", "How long the source of rules has not been readable, 0 while it is.", gauge, func(s acl.Stats) float64 { return s.Down.Seconds() }},
}

// cacheCollector shows hits and misses of users' rules under the name they had
// before.
type cacheCollector struct{ users *acl.Store }

var cacheDesc = prometheus.NewDesc("patchwork_cache_operations_total", "Questions to the kept rules of users, by what came of them.", []string{"result"}, nil)

func (c cacheCollector) Describe(out chan<- *prometheus.Desc) { out <- cacheDesc }

func (c cacheCollector) Collect(out chan<- prometheus.Metric) {
	s := c.users.Stats()
	out <- prometheus.MustNewConstMetric(cacheDesc, counter, float64(s.Hits), "hit")
	out <- prometheus.MustNewConstMetric(cacheDesc, counter, float64(s.Misses), "miss")
}

// statsCollector shows one Stats as metrics.
type statsCollector[S any] struct {
	read func() S
	rows []row[S]
}

func (c *statsCollector[S]) desc(r row[S]) *prometheus.Desc {
	return prometheus.NewDesc(r.name, r.help, nil, nil)
}

func (c *statsCollector[S]) Describe(out chan<- *prometheus.Desc) {
	for _, r := range c.rows {
		out <- c.desc(r)
	}
}

func (c *statsCollector[S]) Collect(out chan<- prometheus.Metric) {
	s := c.read()
	for _, r := range c.rows {
		out <- prometheus.MustNewConstMetric(c.desc(r), r.kind, r.value(s))
	}
}
