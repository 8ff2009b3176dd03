package main

import (
	"log/slog"

	"patchwork/broker"
	"patchwork/httpfront"
	"patchwork/sshfront"
)

// build makes the two doors around one broker: HTTP first, SSH second. It opens
// no port yet; dir is the folder that keeps the host key and the secret.
func build(cfg config, dir string, b *broker.Broker, log *slog.Logger) ([]*door, error) {
	web := &door{name: "HTTP", flag: "--port", port: cfg.port}
	shell := &door{name: "SSH", flag: "--ssh-port", port: cfg.sshPort}
	var shellStats func() sshfront.Stats
	if cfg.sshPort >= 0 {
		s, err := sshfront.New(sshfront.Config{
			Broker:       b,
			Logger:       log,
			DataDir:      dir,
			MaxConns:     cfg.sshMaxConns,
			WriteTimeout: cfg.writeTimeout,
		})
		if err != nil {
			return nil, err
		}
		shell.server, shellStats = s, s.Stats
	}
	if cfg.port >= 0 {
		key, err := secretKey(cfg.secretKey, dir)
		if err != nil {
			return nil, err
		}
		s, err := httpfront.New(httpfront.Config{
			Broker:         b,
			Logger:         log,
			Heartbeat:      cfg.heartbeat,
			WriteTimeout:   cfg.writeTimeout,
			RequestTimeout: cfg.requestTimeout,
			RateLimit:      cfg.rateLimit,
			TrustedProxies: cfg.trustedProxies,
			MaxWaiting:     cfg.maxWaiting,
			SecretKey:      key,
			Registry:       newRegistry(b, shellStats),
			MetricsToken:   string(cfg.metricsToken),
		})
		if err != nil {
			return nil, err
		}
		web.server = s
	}
	return []*door{web, shell}, nil
}
