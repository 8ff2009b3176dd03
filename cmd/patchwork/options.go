package main

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"patchwork/cmd/patchwork/cmdline"
)

// config is everything 'patchwork start' can be told. Its values have been
// checked: no part of the relay has to look again.
type config struct {
	port, sshPort  int    // 0 picks a free one, -1 is off
	bind           string // host or address without a port, "" is every address
	dataDir        string // "" is the default of [stateDir]
	logLevel       slog.Level
	logFormat      string // "text" or "json"
	logSource      bool
	heartbeat      time.Duration // 0 is off
	writeTimeout   time.Duration
	requestTimeout time.Duration // 0 is none
	rateLimit      float64       // requests a second and address, 0 is off
	drainTimeout   time.Duration
	stallLimit     time.Duration
	sshMaxConns    int
	maxWaiting     int
	trustedProxies []netip.Prefix
	replayBuffer   int // bytes
	mailbox        int // bytes
	secretKey      secret
	metricsToken   secret
	aclDir         string        // folder of users' rules, "" is none
	forgejoURL     string        // forge of users' rules, "" is none
	forgejoToken   secret        // of the relay's account there
	aclTTL         time.Duration // how long rules are kept
	aclMaxStale    time.Duration // how long they serve on while the source is down
	admins         []string      // users whose is_admin tokens are the whole server's
	sshOpen        bool          // keys that nobody knows have a namespace of their own
	sshCA          string        // file of authorities whose certificates are believed
	publicURL      string        // of the HTTP door as clients see it, "" is not known
	tunnelSecret   secret        // of tokens that open any tunnel, "" is none
	tunnelHost     string        // name under which prefixes are hosts of their own, "" is none
	egressAllow    []netip.Prefix
	egressDeny     []netip.Prefix
}

// option is one setting of the relay. From it come the flag --name, the
// environment variable and the key of the configuration file.
type option struct {
	name     string
	fallback string // the value when nobody says anything, as one would write it
	shown    string // what help says about the fallback when it is not a fixed text
	usage    string // `backquotes` name the value in the help
	boolean  bool   // --name alone means true
	set      func(*config, string) error
}

// env is the option's environment variable: --ssh-port is SSH_PORT.
func (o option) env() string {
	return strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// configOption names the file; it is the one option the file cannot hold.
var configOption = option{name: "config", usage: "YAML `FILE` with these same names as keys; flag beats environment beats file"}

// options is the one table of settings. Adding one is a line here and a field
// of config.
var options = []option{
	{name: "port", fallback: "8080", usage: "HTTP `PORT`; 0 picks a free one, -1 is off",
		set: field(cmdline.Port, func(c *config) *int { return &c.port })},
	{name: "ssh-port", fallback: "2222", usage: "SSH `PORT`; 0 picks a free one, -1 is off",
		set: field(cmdline.Port, func(c *config) *int { return &c.sshPort })},
	{name: "bind", shown: "every address", usage: "`ADDRESS` both doors listen on",
		set: field(host, func(c *config) *string { return &c.bind })},
	{name: "data-dir", shown: "$XDG_STATE_HOME/patchwork, else ~/.local/state/patchwork", usage: "`DIR` that keeps the host key and the secret",
		set: field(text, func(c *config) *string { return &c.dataDir })},
	{name: "log-level", fallback: "info", usage: "`LEVEL`: debug, info, warn or error",
		set: field(level, func(c *config) *slog.Level { return &c.logLevel })},
	{name: "log-format", fallback: "text", usage: "`FORMAT`: text or json",
		set: field(oneOf("text", "json"), func(c *config) *string { return &c.logFormat })},
	{name: "log-source", fallback: "false", usage: "log file and line of each entry", boolean: true,
		set: field(boolean, func(c *config) *bool { return &c.logSource })},
	{name: "heartbeat", fallback: "15s", usage: "`DURATION` between signs of life to a waiting client, 0 is off",
		set: field(cmdline.Duration, func(c *config) *time.Duration { return &c.heartbeat })},
	{name: "write-timeout", fallback: "60s", usage: "`DURATION` after which a client that takes nothing is cut off",
		set: field(cmdline.Positive, func(c *config) *time.Duration { return &c.writeTimeout })},
	{name: "request-timeout", fallback: "0", usage: "`DURATION` a request may wait for its other side, 0 is without end",
		set: field(cmdline.Duration, func(c *config) *time.Duration { return &c.requestTimeout })},
	{name: "rate-limit", fallback: "10", usage: "`REQUESTS` a second and client address without credentials, 0 is off",
		set: field(rate, func(c *config) *float64 { return &c.rateLimit })},
	{name: "drain-timeout", fallback: "30s", usage: "`DURATION` that transfers under way have to finish at shutdown",
		set: field(cmdline.Duration, func(c *config) *time.Duration { return &c.drainTimeout })},
	{name: "stall-limit", fallback: "30s", usage: "`DURATION` after which a subscriber that holds others back is cut off",
		set: field(cmdline.Positive, func(c *config) *time.Duration { return &c.stallLimit })},
	{name: "ssh-max-conns", fallback: "1000", usage: "`NUMBER` of SSH connections one address may hold",
		set: field(cmdline.Count, func(c *config) *int { return &c.sshMaxConns })},
	{name: "max-waiting", fallback: "10000", usage: "`NUMBER` of waiting requests one address may hold",
		set: field(cmdline.Count, func(c *config) *int { return &c.maxWaiting })},
	{name: "trusted-proxies", shown: "none", usage: "`CIDRS`, comma separated, whose X-Forwarded-For is believed",
		set: field(prefixes, func(c *config) *[]netip.Prefix { return &c.trustedProxies })},
	{name: "replay-buffer", fallback: "64KiB", usage: "`SIZE` up to which a message can go to a next receiver when one fails",
		set: field(cmdline.Size, func(c *config) *int { return &c.replayBuffer })},
	{name: "mailbox", fallback: "1MiB", usage: "`SIZE` of what may wait for one slow subscriber",
		set: field(cmdline.Size, func(c *config) *int { return &c.mailbox })},
	{name: "secret-key", shown: "made at the first start, kept in the data folder", usage: "`TEXT` that secrets of hooks are made with; better given by environment or file, for flags are seen by all",
		set: field(hidden, func(c *config) *secret { return &c.secretKey })},
	{name: "metrics-token", shown: "$FORGEJO_TOKEN, else none: only this machine", usage: "`TOKEN` that opens /metrics to others",
		set: field(hidden, func(c *config) *secret { return &c.metricsToken })},
	{name: "acl-dir", shown: "none", usage: "`DIR` with the rules of users: USER/config.yaml, USER/authorized_keys",
		set: field(text, func(c *config) *string { return &c.aclDir })},
	{name: "forgejo-url", shown: "none", usage: "`URL` of the Forgejo or Gitea server with users' .patchwork repositories",
		set: field(baseURL, func(c *config) *string { return &c.forgejoURL })},
	{name: "forgejo-token", shown: "none", usage: "`TOKEN` of the relay's own account there; better given by environment or file",
		set: field(hidden, func(c *config) *secret { return &c.forgejoToken })},
	{name: "acl-ttl", fallback: "5m", usage: "`DURATION` for which rules of users are kept",
		set: field(cmdline.Positive, func(c *config) *time.Duration { return &c.aclTTL })},
	{name: "acl-max-stale", fallback: "1h", usage: "`DURATION` for which they serve on while they cannot be read",
		set: field(cmdline.Positive, func(c *config) *time.Duration { return &c.aclMaxStale })},
	{name: "admins", shown: "none", usage: "`USERS`, comma separated, whose is_admin tokens rule the whole server at /_/",
		set: field(commaList, func(c *config) *[]string { return &c.admins })},
	{name: "ssh-open", fallback: "true", usage: "give every SSH key private topics; false leaves unknown keys the public ones", boolean: true,
		set: field(boolean, func(c *config) *bool { return &c.sshOpen })},
	{name: "ssh-ca", shown: "none", usage: "`FILE` with the keys of authorities whose SSH user certificates are believed",
		set: field(text, func(c *config) *string { return &c.sshCA })},
	{name: "public-url", shown: "http://localhost and the port", usage: "`URL` of the HTTP door as clients see it, for addresses the relay tells them",
		set: field(baseURL, func(c *config) *string { return &c.publicURL })},
	{name: "tunnel-secret", shown: "none", usage: "`TEXT` that tokens for tunnels are made with; better given by environment or file",
		set: field(hidden, func(c *config) *secret { return &c.tunnelSecret })},
	{name: "tunnel-host", shown: "none", usage: "`NAME` under which each tunnel is a host of its own: PREFIX.NAME",
		set: field(host, func(c *config) *string { return &c.tunnelHost })},
	{name: "egress-allow", shown: "none", usage: "`CIDRS`, comma separated, inside the network that users may have the relay connect to",
		set: field(prefixes, func(c *config) *[]netip.Prefix { return &c.egressAllow })},
	{name: "egress-deny", shown: "none", usage: "`CIDRS`, comma separated, that the relay never connects to",
		set: field(prefixes, func(c *config) *[]netip.Prefix { return &c.egressDeny })},
}

// field makes a setter from a parser and the place its value goes to.
func field[T any](parse func(string) (T, error), at func(*config) *T) func(*config, string) error {
	return func(c *config, s string) error {
		v, err := parse(s)
		if err != nil {
			return err
		}
		*at(c) = v
		return nil
	}
}
