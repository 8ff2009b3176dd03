package main

import (
	"io"
	"log/slog"
)

// newLogger writes to w what the configuration asks for.
func newLogger(cfg config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.logLevel, AddSource: cfg.logSource}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
