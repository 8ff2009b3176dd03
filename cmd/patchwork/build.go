package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/httpfront"
	"patchwork/notify"
	"patchwork/sshfront"
	"patchwork/sshfront/monitor"
)

// parts is what a relay is made of, besides its broker.
type parts struct {
	doors  []*door // HTTP first, SSH second
	users  *acl.Store
	notify *notify.Sender

	monitors *monitor.Store
	tunnels  *tunnels
}

// close ends what serves the doors. They are closed already.
func (p *parts) close(log *slog.Logger) {
	p.tunnels.close()
	if p.monitors != nil {
		if err := p.monitors.Close(); err != nil {
			log.Error("monitors did not end cleanly", "error", err)
		}
	}
	if err := p.notify.Close(); err != nil {
		log.Error("notifications did not end cleanly", "error", err)
	}
	p.users.Close()
}

// build makes the parts around one broker. It opens no port yet; dir is the
// folder that keeps the host key and the secret.
func build(cfg config, dir string, b *broker.Broker, log *slog.Logger) (*parts, error) {
	key, err := secretKey(cfg.secretKey, dir)
	if err != nil {
		return nil, err
	}
	cas, err := authorities(cfg.sshCA)
	if err != nil {
		return nil, err
	}
	store, err := users(cfg, log)
	if err != nil {
		return nil, err
	}
	signer := acl.NewSigner(key)
	tun := newTunnels(cfg, store, log)
	sender := notify.New(notify.Options{DialContext: tun.dialer.DialContext})
	p := &parts{users: store, notify: sender, tunnels: tun}
	p.monitors, err = monitor.Open(filepath.Join(dir, "monitors.db"), monitor.Options{
		Watcher: b, Notify: alert(store, sender, log), Logger: log,
	})
	if err != nil {
		p.close(log)
		return nil, err
	}

	shell := &door{name: "SSH", flag: "--ssh-port", port: cfg.sshPort}
	var shellStats func() sshfront.Stats
	var shellDoor func() httpfront.SSHDoor
	if cfg.sshPort >= 0 {
		s, err := sshfront.New(sshfront.Config{
			Broker:       b,
			Logger:       log,
			DataDir:      dir,
			MaxConns:     cfg.sshMaxConns,
			WriteTimeout: cfg.writeTimeout,
			Identify:     identify(store, cfg.sshOpen),
			TrustedCAs:   cas,
			Closed:       !cfg.sshOpen,
			SignToken:    signToken(signer),
			Notify:       notifier(store, sender),
			Monitors:     p.monitors,
			MayForward:   mayForward,
			Dial:         tun.dialer.DialContext,
			MayTunnel:    publishAs,
			Tunnels:      tun.registry,
			WebURL:       webURL(cfg),
		})
		if err != nil {
			p.close(log)
			return nil, err
		}
		shell.server, shellStats = s, s.Stats
		shellDoor = func() httpfront.SSHDoor {
			return httpfront.SSHDoor{Port: portOf(shell), Fingerprint: s.Fingerprint()}
		}
	}
	web := &door{name: "HTTP", flag: "--port", port: cfg.port}
	if cfg.port >= 0 {
		s, err := httpfront.New(httpfront.Config{
			Broker:         b,
			Logger:         log,
			Heartbeat:      cfg.heartbeat,
			WriteTimeout:   cfg.writeTimeout,
			RequestTimeout: cfg.requestTimeout,
			RateLimit:      cfg.rateLimit,
			TrustedProxies: cfg.trustedProxies,
			MaxWaiting:     cfg.maxWaiting,
			Users:          store,
			Signer:         signer,
			Notify:         sender,
			Feed:           p.monitors.Feed,
			Tunnels:        httpfront.Tunnels{Dial: tun.dialer.DialContext, SendIt: tun.sendit, Proxy: tun.proxy, Host: cfg.tunnelHost},
			PublicURL:      cfg.publicURL,
			SSH:            shellDoor,
			SecretKey:      key,
			Registry:       newRegistry(b, store, tun.registry, shellStats),
			MetricsToken:   string(cfg.metricsToken),
		})
		if err != nil {
			p.close(log)
			return nil, err
		}
		web.server = s
	}
	p.doors = []*door{web, shell}
	return p, nil
}

// portOf is where an open door really listens. It is asked once they all are open.
func portOf(d *door) int {
	if a, ok := d.listener.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return d.port
}

// webURL is where clients find the HTTP door, as far as the relay knows.
func webURL(cfg config) string {
	if cfg.publicURL != "" {
		return cfg.publicURL
	}
	return "http://localhost:" + strconv.Itoa(cfg.port)
}
