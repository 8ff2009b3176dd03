package tunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// huproxy is a relay that joins every WebSocket with the target.
type huproxy struct {
	*httptest.Server
	served chan error
}

func newHuproxy(t testing.TB, target string) *huproxy {
	h := &huproxy{served: make(chan error, 64)}
	var wg sync.WaitGroup
	d := NewDialer(Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		if r.Header.Get("Authorization") == "Bearer wrong" {
			http.Error(w, "token not found", http.StatusUnauthorized)
			return
		}
		conn, err := d.DialContext(r.Context(), "tcp", target)
		if err != nil {
			http.Error(w, err.Error(), Status(err))
			return
		}
		ws, err := Upgrade(w, r)
		if err != nil {
			conn.Close()
			return
		}
		h.served <- ServeWebSocket(context.WithoutCancel(r.Context()), ws, conn)
	}))
	t.Cleanup(func() { h.Close(); wg.Wait() })
	return h
}

func (h *huproxy) ws() string { return "ws" + strings.TrimPrefix(h.URL, "http") }

// target is a TCP server that does f with its one connection.
func target(t testing.TB, f func(*net.TCPConn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c.(*net.TCPConn))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestOurClientCarriesTheEndOfItsInputAndHearsTheAnswerAfterIt(t *testing.T) {
	h := newHuproxy(t, target(t, func(c *net.TCPConn) {
		sum := sha256.New()
		io.Copy(sum, c) // to its end
		c.Write(sum.Sum(nil))
		io.CopyN(c, noise{rand.NewPCG(3, 3)}, 8<<20)
	}))
	in, want := sha256.New(), sha256.New()
	io.CopyN(want, noise{rand.NewPCG(3, 3)}, 8<<20)
	var out bytes.Buffer
	stdin := io.TeeReader(io.LimitReader(noise{rand.NewPCG(1, 1)}, 8<<20), in)
	if err := HuproxyClient(t.Context(), h.ws(), "", stdin, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.Next(sha256.Size); !bytes.Equal(got, in.Sum(nil)) {
		t.Error("other bytes went up")
	}
	if got := sha256.Sum256(out.Bytes()); out.Len() != 8<<20 || !bytes.Equal(got[:], want.Sum(nil)) {
		t.Errorf("%d bytes came down, or others", out.Len())
	}
	if err := <-h.served; err != nil {
		t.Errorf("the server's join: %v", err)
	}
}

func TestTheTargetsEndClosesOurOutputWhileOurInputGoesOn(t *testing.T) {
	heard := make(chan string, 1)
	h := newHuproxy(t, target(t, func(c *net.TCPConn) {
		io.WriteString(c, "bye")
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		heard <- string(b)
	}))
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- HuproxyClient(t.Context(), h.ws(), "", inR, outW) }()
	if got, err := io.ReadAll(outR); string(got) != "bye" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	io.WriteString(inW, "still here")
	inW.Close()
	if got := <-heard; got != "still here" {
		t.Errorf("the target heard %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := <-h.served; err != nil {
		t.Error(err)
	}
}

// TestTheCloseOfAnotherClientLeavesNoConnectionBehind speaks as the public
// huproxyclient does: no subprotocol, and a close at the end of its input.
func TestTheCloseOfAnotherClientLeavesNoConnectionBehind(t *testing.T) {
	heard := make(chan string, 1)
	h := newHuproxy(t, target(t, func(c *net.TCPConn) {
		io.WriteString(c, "hello")
		b, _ := io.ReadAll(c) // and never ends by itself
		heard <- string(b)
	}))
	auth := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("Bearer:T"))}}
	c, response, err := websocket.DefaultDialer.Dial(h.ws(), auth)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if response.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Error("a subprotocol that nobody asked for")
	}
	if _, m, err := c.ReadMessage(); string(m) != "hello" {
		t.Fatal(err)
	}
	c.WriteMessage(websocket.BinaryMessage, []byte("all "))
	c.WriteMessage(websocket.BinaryMessage, []byte("of it"))
	c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	if got := <-heard; got != "all of it" {
		t.Errorf("the target heard %q", got)
	}
	if err := <-h.served; err != nil {
		t.Errorf("%v; want a proper end", err)
	}
}

func TestTheTargetsEndIsACloseForAnotherClient(t *testing.T) {
	h := newHuproxy(t, target(t, func(c *net.TCPConn) { io.WriteString(c, "bye") }))
	c, _, err := websocket.DefaultDialer.Dial(h.ws(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, m, err := c.ReadMessage(); string(m) != "bye" {
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("%v; want a normal close", err)
	}
	if err := <-h.served; err != nil {
		t.Error(err)
	}
}

// TestAnotherServerIsSpokenToInItsWay has a server without our subprotocol, which
// closes when its target has ended.
func TestAnotherServerIsSpokenToInItsWay(t *testing.T) {
	up := websocket.Upgrader{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for n := 0; n < 6; {
			_, m, err := c.ReadMessage()
			if err != nil || len(m) == 0 {
				t.Errorf("%q, %v", m, err)
				return
			}
			n += len(m)
		}
		c.WriteMessage(websocket.BinaryMessage, []byte("answer"))
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	}))
	defer server.Close()
	inR, inW := io.Pipe()
	defer inW.Close()
	go io.WriteString(inW, "asking") // and does not end
	var out bytes.Buffer
	if err := HuproxyClient(t.Context(), server.URL, "", inR, &out); err != nil || out.String() != "answer" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestAClientThatVanishesLeavesNoTargetConnection(t *testing.T) {
	gone := make(chan struct{}, 2)
	h := newHuproxy(t, target(t, func(c *net.TCPConn) {
		io.Copy(io.Discard, c)
		gone <- struct{}{}
	}))
	for _, half := range []bool{false, true} {
		d := websocket.Dialer{Subprotocols: []string{halfCloses}}
		c, _, err := d.Dial(h.ws(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if half { // after its own end nobody reads from it any more
			c.WriteMessage(websocket.BinaryMessage, nil)
			<-gone
		}
		c.Close()
		<-h.served
		if !half {
			<-gone
		}
	}
}

func TestRefusalsComeBeforeTheUpgradeInOneLine(t *testing.T) {
	h := newHuproxy(t, "10.0.0.1:22")
	for name, c := range map[string]struct{ url, token, want string }{
		"egress":      {h.ws(), "", "403 Forbidden: not allowed to connect to 10.0.0.1 (private): the operator can allow it with --egress-allow"},
		"a bad token": {h.ws(), "wrong", "401 Unauthorized: token not found"},
		"not a URL":   {"relay.example", "", "write wss://"},
		"a file":      {"file:///etc/passwd", "", "write wss://"},
		"nobody":      {"ws://127.0.0.1:1/", "", "cannot connect to the relay"},
	} {
		err := HuproxyClient(t.Context(), c.url, c.token, strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}

// TestTheProxyOfTheEnvironmentIsUsed runs itself: an environment is read once.
func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	if os.Getenv("TUNNEL_TEST_PROXIED") != "" {
		HuproxyClient(t.Context(), "wss://relay.example/huproxy/a/b/22", "", strings.NewReader(""), io.Discard)
		return
	}
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer proxy.Close()
	again := exec.Command(os.Args[0], "-test.run=^TestTheProxyOfTheEnvironmentIsUsed$")
	again.Env = append(os.Environ(), "TUNNEL_TEST_PROXIED=yes", "HTTPS_PROXY="+proxy.URL, "NO_PROXY=")
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	select {
	case got := <-asked:
		if got != "CONNECT relay.example:443" {
			t.Error(got)
		}
	default:
		t.Error("the proxy was not asked")
	}
}
