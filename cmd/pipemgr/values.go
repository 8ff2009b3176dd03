package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// The parsers below read one value as people write it. Their errors complete the
// sentence `--flag: "value" …`.

func text(s string) (string, error) { return s, nil }

// A destination is where ssh would go: as a user, to a host and its port.
type destination struct{ user, addr string }

// parseDestination reads [USER@]HOST[:PORT]. Without USER it is the one ssh would
// take.
func parseDestination(s string) (destination, error) {
	bad := errors.New("is no [USER@]HOST[:PORT], such as relay.example.com:2222")
	d := destination{user: userName()}
	host := strings.TrimPrefix(s, "ssh://")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		d.user, host = host[:i], host[i+1:]
	}
	port := "2222"
	if bare := strings.Trim(host, "[]"); net.ParseIP(bare) != nil {
		host = bare
	} else if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || d.user == "" {
		return d, bad
	}
	if host == "" || net.ParseIP(host) == nil && strings.ContainsAny(host, ":/[] \t\n") {
		return d, bad
	}
	d.addr = net.JoinHostPort(host, port)
	return d, nil
}

func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "pipemgr"
}

// duration reads Go's notation, or a bare number of seconds.
func duration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("is not a duration such as 5s, 2m or 1h30m")
	}
	return d, nil
}

func parseSince(s string) (time.Duration, error) {
	if s == "all" {
		return -1, nil
	}
	d, err := duration(s)
	if err != nil {
		return 0, errors.New("is neither a duration such as 10m or 24h, nor all")
	}
	return d, nil
}

// parseBuffer reads bytes, with the units KiB, MiB and GiB (or K, M, G).
func parseBuffer(s string) (int, error) {
	digits := strings.TrimRight(s, "KMGBkmgbi ")
	shift, ok := map[string]int{
		"": 0, "b": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30,
	}[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	n, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || n < 1 || n<<shift < 1<<20 || n<<shift > 1<<30 {
		return 0, errors.New("is not a size from 1MiB to 1GiB")
	}
	return int(n << shift), nil
}

// parseHealth reads an address to listen on. "" is none.
func parseHealth(s string) (string, error) {
	if s == off {
		return "", nil
	}
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		s = ":" + s
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", errors.New("is no address such as :8080 or localhost:8081, nor off")
	}
	return s, nil
}

// choices are words and what they mean.
type choices[T any] []struct {
	word string
	is   T
}

func oneOf[T any](all choices[T]) func(string) (T, error) {
	return func(s string) (T, error) {
		var words []string
		for _, c := range all {
			if c.word == strings.ToLower(s) {
				return c.is, nil
			}
			words = append(words, c.word)
		}
		var none T
		return none, fmt.Errorf("is not one of %s", strings.Join(words, ", "))
	}
}
