package sshfront

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/tunnel"
)

// A site is a door with tunnels behind a web server.
type site struct {
	*door
	tunnels *tunnel.Registry
	web     string
}

func openSite(t *testing.T, change func(*Config)) *site {
	t.Helper()
	s := &site{tunnels: tunnel.NewRegistry(tunnel.RegistryOptions{Reserved: func(p string) bool { return p == "healthz" }})}
	web := httptest.NewServer(tunnel.NewProxy(tunnel.ProxyOptions{Registry: s.tunnels}))
	s.web = web.URL
	s.door = open(t, func(c *Config) {
		c.Tunnels, c.WebURL = s.tunnels, web.URL
		c.MayTunnel = func(_ context.Context, c Caller, prefix string) (string, error) {
			if strings.HasPrefix(prefix, "theirs") {
				return "", errors.New("no tunnel pattern of yours matches")
			}
			return c.Namespace(), nil
		}
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(web.Close)
	return s
}

func (s *site) get(path string) (int, string) {
	s.t.Helper()
	res, err := http.Get(s.web + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		body = append(body, " cut: "+err.Error()...)
	}
	return res.StatusCode, string(body)
}

// ask sends one of the global requests about publishing.
func ask(t *testing.T, c *gossh.Client, what, address string, port uint32) bool {
	t.Helper()
	ok, _, err := c.SendRequest(what, true, gossh.Marshal(publishRequest{address, port}))
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// localSite is the web server that somebody publishes: it names the path it was
// asked for.
func localSite(t *testing.T) (address string) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	}))
	t.Cleanup(web.Close)
	return web.Listener.Addr().String()
}

func TestOpenSSHPublishesAPrefix(t *testing.T) {
	s := openSite(t, nil)
	ssh := s.openSSH()
	for _, form := range []string{"web-demo:80:", "web-demo:0:"} {
		cmd := ssh.command("-R", form+localSite(t), "--") // no -N: it stays by itself
		var said lockedBuffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the client is told where", func() bool {
			return strings.Contains(said.String(), s.web+"/web-demo/ is published")
		})
		if code, body := s.get("/web-demo/some/path"); code != 200 || body != "GET /web-demo/some/path 0" {
			t.Errorf("%d %q", code, body)
		}
		var visitors sync.WaitGroup
		for i := range 40 {
			visitors.Go(func() {
				res, err := http.Post(fmt.Sprintf("%s/web-demo/%d", s.web, i), "", strings.NewReader(strings.Repeat("x", 100_000)))
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				if body, _ := io.ReadAll(res.Body); string(body) != fmt.Sprintf("POST /web-demo/%d 100000", i) {
					t.Errorf("%d %q", res.StatusCode, body)
				}
			})
		}
		visitors.Wait()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		eventually(t, "the prefix is free", func() bool { return s.tunnels.Stats().Prefixes == 0 })
		eventually(t, "nothing is left", func() bool { return s.srv.Stats() == Stats{} })
	}
}

func TestOpenSSHIsToldThatItPublishesNothing(t *testing.T) {
	s := openSite(t, nil)
	ssh := s.openSSH()
	to := ":" + localSite(t)
	for _, bind := range []string{"theirs:80", "healthz:80", "web-demo:8080", "Web-Demo:80", "localhost:80", "127.0.0.1:80", "80", "0", "*:80"} {
		code, _, stderr := ssh.do("", "-N", "-o", "ExitOnForwardFailure=yes", "-R", bind+to, "--")
		if code != 255 || !strings.Contains(stderr, "remote port forwarding failed") {
			t.Errorf("%s: %d %q", bind, code, stderr)
		}
		// With a session there is somewhere to say why.
		code, out, stderr := ssh.do("", "-R", bind+to, "--")
		if code != 1 || out != "" || !strings.Contains(stderr, "\nnot published: ") && !strings.HasPrefix(stderr, "not published: ") {
			t.Errorf("%s: %d %q %q", bind, code, out, stderr)
		}
	}
	if n := s.tunnels.Stats().Prefixes; n != 0 {
		t.Errorf("%d are published", n)
	}
	// Other commands do what they always did.
	code, out, stderr := ssh.do("", "-R", "web-demo:80"+to, "--", "help")
	if code != 0 || !strings.HasPrefix(out, "patchwork") || strings.Contains(stderr, "not published") {
		t.Errorf("%d %.30q %q", code, out, stderr)
	}
}

func TestAConnectionPublishesForItselfAlone(t *testing.T) {
	s := openSite(t, nil)
	key := newKey(t)
	one, two, stranger := s.dial(key), s.dial(key), s.dial(newKey(t))
	if !ask(t, one, "tcpip-forward", "web-demo", 80) {
		t.Fatal("refused")
	}
	if ask(t, one, "tcpip-forward", "web-demo", 0) {
		t.Error("the same again")
	}
	for _, other := range []*gossh.Client{two, stranger} {
		if ask(t, other, "cancel-tcpip-forward", "web-demo", 80) {
			t.Error("cancelled from another connection")
		}
	}
	if ask(t, stranger, "tcpip-forward", "web-demo", 80) {
		t.Error("taken from somebody else")
	}
	if s.tunnels.Lookup("web-demo") == nil {
		t.Fatal("lost")
	}
	if ask(t, one, "cancel-tcpip-forward", "web-demo", 8080) || !ask(t, one, "cancel-tcpip-forward", "web-demo", 80) || ask(t, one, "cancel-tcpip-forward", "web-demo", 80) {
		t.Error("cancel works once")
	}
	if s.tunnels.Lookup("web-demo") != nil {
		t.Error("still published")
	}
	// The port of the server's choice is 80.
	ok, answer, err := stranger.SendRequest("tcpip-forward", true, gossh.Marshal(publishRequest{"web-demo", 0}))
	if err != nil || !ok || string(answer) != "\x00\x00\x00\x50" {
		t.Errorf("%v %v %q", err, ok, answer)
	}
	stranger.Close()
	eventually(t, "the prefix is free", func() bool { return s.tunnels.Lookup("web-demo") == nil })
}

func TestWhoeverIsTheSameTakesThePrefixOver(t *testing.T) {
	s := openSite(t, nil)
	ssh := s.openSSH()
	cmd := ssh.command("-R", "web-demo:80:"+localSite(t), "--")
	var said lockedBuffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is published", func() bool { return s.tunnels.Lookup("web-demo") != nil })
	second := s.dial(ssh.key)
	if !ask(t, second, "tcpip-forward", "web-demo", 80) {
		t.Error("refused")
	}
	if code := status(cmd.Wait()); code != 1 || !strings.Contains(said.String(), "taken over") {
		t.Errorf("%d %q", code, said.String())
	}
	second.Close()
	eventually(t, "the prefix is free", func() bool { return s.tunnels.Lookup("web-demo") == nil })
}

// An answer without a length ends with its connection. The end of the client must
// not look like that.
func TestAnAnswerThatWasCutDoesNotCountAsWhole(t *testing.T) {
	s := openSite(t, nil)
	ssh := s.openSSH()
	sent, end := make(chan struct{}), make(chan struct{})
	local := listening(t, func(nc *net.TCPConn) {
		_, _ = bufio.NewReader(nc).ReadString('\n')
		fmt.Fprint(nc, "HTTP/1.0 200 OK\r\n\r\nall of it")
		sent <- struct{}{}
		<-end
	})
	for _, killed := range []bool{false, true} {
		cmd := ssh.command("-N", "-R", "web-demo:80:"+local, "--")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is published", func() bool { return s.tunnels.Lookup("web-demo") != nil })
		got := make(chan string, 1)
		go func() { _, body := s.get("/web-demo/"); got <- body }()
		<-sent
		if killed {
			eventually(t, "it is on its way", func() bool { return s.srv.Stats().Forwards > 0 })
			_ = cmd.Process.Kill()
		}
		if !killed {
			end <- struct{}{}
		}
		if body := <-got; killed == (body == "all of it") {
			t.Errorf("killed %v: %q", killed, body)
		}
		if killed {
			end <- struct{}{}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		eventually(t, "the prefix is free", func() bool { return s.tunnels.Lookup("web-demo") == nil })
	}
}

func TestChannelsToAPublisherAreAsItAskedForThem(t *testing.T) {
	s := openSite(t, func(c *Config) { c.MaxSessions = 2 })
	c := s.dial(newKey(t))
	channels := c.HandleChannelOpen("forwarded-tcpip")
	if !ask(t, c, "tcpip-forward", "web-demo", 80) {
		t.Fatal("refused")
	}
	claim := s.tunnels.Lookup("web-demo")
	opened := make(chan net.Conn)
	dial := func() {
		nc, err := claim.Opener.DialContext(t.Context(), "tcp", "web-demo:80")
		if err != nil {
			t.Error(err)
		}
		opened <- nc
	}
	for range 2 {
		go dial()
		asked := <-channels
		var data struct {
			Address    string
			Port       uint32
			Origin     string
			OriginPort uint32
		}
		if err := gossh.Unmarshal(asked.ExtraData(), &data); err != nil || data.Address != "web-demo" || data.Port != 80 ||
			net.ParseIP(data.Origin) == nil || data.OriginPort == 0 {
			t.Errorf("%v %+v", err, data)
		}
		ch, requests, err := asked.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go gossh.DiscardRequests(requests)
		nc := <-opened
		fmt.Fprint(nc, "ping")
		if _, err := io.ReadFull(ch, make([]byte, 4)); err != nil {
			t.Error(err)
		}
		fmt.Fprint(ch, "pong")
		ch.CloseWrite()
		if text, err := io.ReadAll(nc); err != nil || string(text) != "pong" {
			t.Errorf("%v %q", err, text)
		}
		defer nc.Close()
	}
	if _, err := claim.Opener.DialContext(t.Context(), "", ""); !errors.Is(err, tunnel.ErrBusy) {
		t.Errorf("the third: %v", err)
	}
	// Visitors leave room for the publisher's own sessions.
	if code, _, _ := do(t, c, "help", ""); code != 0 {
		t.Error("no session")
	}
	c.Close()
	s.noForwards()
	if _, err := claim.Opener.DialContext(t.Context(), "", ""); err == nil {
		t.Error("opened without a connection")
	}
}

// A visitor that gives up, and a client that never connects it, leave nothing.
func TestAVisitorThatGivesUpLeavesNothing(t *testing.T) {
	s := openSite(t, nil)
	c := s.dial(newKey(t))
	channels := c.HandleChannelOpen("forwarded-tcpip")
	if !ask(t, c, "tcpip-forward", "web-demo", 80) {
		t.Fatal("refused")
	}
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	claim := s.tunnels.Lookup("web-demo")
	go func() {
		_, err := claim.Opener.DialContext(ctx, "", "")
		gaveUp <- err
	}()
	asked := <-channels
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ch, requests, err := asked.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(requests)
	if _, err := ch.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	s.noForwards()
}

func TestShutdownTakesBackWhatIsPublished(t *testing.T) {
	s := openSite(t, nil)
	ssh := s.openSSH()
	cmd := ssh.command("-R", "web-demo:80:"+localSite(t), "--")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is published", func() bool { return s.tunnels.Lookup("web-demo") != nil })
	if code, _ := s.get("/web-demo/"); code != 200 { // leaves a connection to be used again
		t.Error(code)
	}
	if err := s.srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if code := status(cmd.Wait()); code != 75 {
		t.Errorf("exit %d", code)
	}
	if s.tunnels.Lookup("web-demo") != nil {
		t.Error("still published")
	}
}
