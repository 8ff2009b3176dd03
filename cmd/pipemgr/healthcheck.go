package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// healthcheckCommand is 'pipemgr healthcheck': exit 0 when a running pipemgr is
// connected to both sides, else 1 and why.
func healthcheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "healthcheck",
		Usage:     "ask a running pipemgr whether it is connected",
		UsageText: "pipemgr healthcheck [--url URL]",
		Flags: []cli.Flag{&cli.StringFlag{
			Name:        "url",
			Usage:       "`URL` to ask",
			DefaultText: "http://localhost:8080/health, with the port of $PIPEMGR_HEALTH",
		}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("healthcheck takes no arguments, but got %q; the address goes to --url", c.Args().First())
			}
			_, err := healthcheck(c.Context, healthURL(c.String("url"), os.Getenv("PIPEMGR_HEALTH")))
			return err
		},
	}
}

// asCurl is what pipemgr does under the name of curl, which it has in its image: of
// 'curl -f URL' it understands the URL. Compose files written for other images of
// this sort ask so for its health.
func asCurl(ctx context.Context, args []string, stdout io.Writer) error {
	url := ""
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			url = arg
		}
	}
	if url == "" {
		return usagef("this curl is pipemgr's and does nothing but 'curl -f http://localhost:8080/health'")
	}
	page, err := healthcheck(ctx, healthURL(url, ""))
	if err == nil {
		_, err = stdout.Write(page)
	}
	return err
}

// healthURL is the page to ask: as told, else that of the address pipemgr was told
// to listen on.
func healthURL(told, listen string) string {
	if told != "" {
		if !strings.Contains(told, "://") {
			told = "http://" + told
		}
		return told
	}
	host, port := "", "8080"
	if address, err := parseHealth(listen); err == nil && address != "" {
		host, port, _ = net.SplitHostPort(address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/health"
}

// healthcheck asks for the page and returns it when all is well. It takes 5 seconds at
// most.
func healthcheck(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, usagef("--url %q is not a URL", url)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("pipemgr does not answer: %w", err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if err != nil {
		return nil, fmt.Errorf("pipemgr's answer broke off: %w", err)
	}
	var h health
	if err := json.Unmarshal(page, &h); err != nil || h.Docker == "" {
		return nil, fmt.Errorf("%s answered %s, but is no pipemgr", url, resp.Status)
	}
	if resp.StatusCode != http.StatusOK || !h.Well {
		return nil, errors.New(h.why())
	}
	return page, nil
}
