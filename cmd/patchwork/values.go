package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The parsers below read one value of a setting as operators write it; others are in
// cmdline. Their errors complete the sentence `--flag "value" …`: what it is not, and
// what would be right.

func text(s string) (string, error) { return s, nil }

// baseURL reads the address of a web server.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("is not an address such as https://host.example.com")
	}
	return strings.TrimRight(s, "/"), nil
}

// commaList reads a list with commas between.
func commaList(s string) ([]string, error) {
	var list []string
	for w := range strings.SplitSeq(s, ",") {
		if w = strings.TrimSpace(w); w == "" {
			return nil, errors.New("has an empty entry")
		}
		list = append(list, w)
	}
	return list, nil
}

func boolean(s string) (bool, error) {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("is neither true nor false")
	}
	return v, nil
}

func rate(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, errors.New("is not a number of requests a second, such as 10 or 0.5, or 0 for no limit")
	}
	return v, nil
}

func level(s string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	v, ok := levels[strings.ToLower(s)]
	if !ok {
		return 0, errors.New("is not one of debug, info, warn, error")
	}
	return v, nil
}

func oneOf(words ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		if word := strings.ToLower(s); slices.Contains(words, word) {
			return word, nil
		}
		return "", fmt.Errorf("is not one of %s", strings.Join(words, ", "))
	}
}

// host reads an address or a host name to listen on, without a port.
func host(s string) (string, error) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if _, err := netip.ParseAddr(s); err != nil && strings.ContainsAny(s, ":/ ") {
		return "", errors.New("is not an address or host name (the ports are --port and --ssh-port)")
	}
	return s, nil
}

// prefixes reads a comma separated list of CIDR blocks; a lone address counts
// as the block of itself.
func prefixes(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		p, err := netip.ParsePrefix(item)
		if err != nil {
			addr, err := netip.ParseAddr(item)
			if err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("holds %q, which is not a block such as 10.0.0.0/8", item)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
