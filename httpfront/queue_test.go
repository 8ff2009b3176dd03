package httpfront_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"patchwork/httpfront"
)

func TestOneConsumerGetsTheMessageAndItsProducerHears200(t *testing.T) {
	r := start(t)
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		got := later(func() answer { return r.get("/p/jobs") })
		want(t, r.do(method, "/p/jobs", strings.NewReader("hi")), 200, "")
		a := soon(t, got)
		want(t, a, 200, "hi")
		if a.header.Get("Patch-Method") != method || a.header.Get("Content-Length") != "2" {
			t.Errorf("%s: headers %v", method, a.header)
		}
	}
	got := later(func() answer { return r.get("/p/jobs") })
	a := r.get("/p/jobs?body=a%20link")
	want(t, a, 200, "")
	if a.header.Get("Patch-Delivered") != "1" {
		t.Errorf("Patch-Delivered: %q", a.header.Get("Patch-Delivered"))
	}
	want(t, soon(t, got), 200, "a link")
	r.empty()
}

func TestAnEmptyMessageIsAMessage(t *testing.T) {
	r := start(t)
	for _, send := range []func() answer{
		func() answer { return r.post("/p/nothing", "") },
		func() answer { return r.do("POST", "/p/nothing", io.MultiReader()) }, // chunked
		func() answer { return r.get("/p/nothing?body=") },
	} {
		sent := later(send)
		r.producers("nothing", 1)
		want(t, r.get("/p/nothing"), 200, "")
		want(t, soon(t, sent), 200, "")
	}
}

func TestAThousandMessagesArriveExactlyOnceEach(t *testing.T) {
	r := start(t)
	const messages, producers, consumers = 1000, 20, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for p := range producers {
		wg.Go(func() {
			for i := range messages / producers {
				if a := r.post("/p/many", fmt.Sprintf("%d-%d", p, i)); a.code != 200 {
					t.Errorf("producer %d: %+v", p, a)
				}
			}
		})
	}
	for range consumers {
		wg.Go(func() {
			for range messages / consumers {
				a := r.get("/p/many")
				if a.code != 200 || a.err != nil {
					t.Errorf("consumer: %+v", a)
				}
				mu.Lock()
				seen[a.body]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := r.broker.Stats().Redelivered; n != 0 {
		t.Errorf("%d were handed on though all consumers lived", n)
		for line := range strings.Lines(logged.String()) {
			if strings.Contains(line, "reason") {
				t.Log(line)
			}
		}
	}
	for p := range producers {
		for i := range messages / producers {
			if n := seen[fmt.Sprintf("%d-%d", p, i)]; n != 1 {
				t.Errorf("%d-%d arrived %d times", p, i, n)
			}
		}
	}
	r.empty()
}

func TestFirstComeIsFirstServedOnBothSides(t *testing.T) {
	r := start(t)
	var sent []<-chan answer
	for i := range 5 {
		sent = append(sent, later(func() answer { return r.post("/p/line", strconv.Itoa(i)) }))
		r.producers("line", i+1)
	}
	for i := range 5 {
		want(t, r.get("/p/line"), 200, strconv.Itoa(i))
		want(t, soon(t, sent[i]), 200, "")
	}
	var got []<-chan answer
	for i := range 5 {
		got = append(got, later(func() answer { return r.get("/p/line") }))
		r.consumers("line", i+1)
	}
	for i := range 5 {
		want(t, r.post("/p/line", strconv.Itoa(i)), 200, "")
		want(t, soon(t, got[i]), 200, strconv.Itoa(i))
	}
}

var noise = sync.OnceValue(func() []byte {
	data := make([]byte, 20<<20)
	io.ReadFull(pattern(int64(len(data))), data) //nolint:errcheck // it never fails
	return data
})

// body is a message of n bytes, with its length or chunked.
func body(n int, chunked bool) io.Reader {
	data := noise()[:n]
	if chunked {
		return io.MultiReader(bytes.NewReader(data))
	}
	return bytes.NewReader(data)
}

// shares are the cases of a consumer that is killed.
func shares(t *testing.T, f func(t *testing.T, percent int, chunked bool, proto string)) {
	for _, percent := range []int{10, 50, 99} {
		for _, chunked := range []bool{false, true} {
			for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
				t.Run(fmt.Sprintf("%d%%/chunked=%v/%s", percent, chunked, proto), func(t *testing.T) { f(t, percent, chunked, proto) })
			}
		}
	}
}

func (w *wire) take(n int) {
	w.t.Helper()
	res, _ := w.answer()
	if _, err := io.CopyN(io.Discard, res.Body, int64(n)); err != nil {
		w.t.Fatalf("reading %d bytes: %v", n, err)
	}
}

func TestASmallMessageOfAKilledConsumerGoesToTheNextWhole(t *testing.T) {
	r := start(t)
	const size = 10_000
	whole, _ := io.ReadAll(pattern(size))
	shares(t, func(t *testing.T, percent int, chunked bool, proto string) {
		c := r.dial("GET /p/small " + proto + "\r\nHost: x\r\n\r\n")
		c.r.Discard(0) //nolint:errcheck // nothing is there
		r.consumers("small", 1)
		sent := later(func() answer { return r.do("POST", "/p/small", body(size, chunked)) })
		c.take(size * percent / 100)
		c.Close()
		next := r.get("/p/small")
		want(t, next, 200, string(whole))
		want(t, soon(t, sent), 200, "")
		r.empty()
	})
}

func TestAConsumerThatClosesBeforeTheRestIsWrittenHasNotGotIt(t *testing.T) {
	r := start(t)
	for range 50 {
		c := r.dial("GET /p/early HTTP/1.1\r\nHost: x\r\n\r\n")
		r.consumers("early", 1)
		in, out := io.Pipe()
		sent := later(func() answer { return r.do("POST", "/p/early", in) })
		io.WriteString(out, "first half, ") //nolint:errcheck // the pipe's reader lives
		res, _ := c.answer()
		half := make([]byte, len("first half, "))
		io.ReadFull(res.Body, half) //nolint:errcheck // what counts is the close that follows
		go func() {
			io.WriteString(out, "second half") //nolint:errcheck // as above
			out.Close()
		}()
		c.Close() // with nothing unread: a clean end
		want(t, r.get("/p/early"), 200, "first half, second half")
		want(t, soon(t, sent), 200, "")
	}
	r.empty()
}

func TestAConsumerThatClosesAtTheLastByteHasGotIt(t *testing.T) {
	r := start(t)
	for i := range 100 {
		c := r.dial("GET /p/exact HTTP/1.1\r\nHost: x\r\n\r\n")
		r.consumers("exact", 1)
		sent := later(func() answer { return r.get("/p/exact?body=0123456789") })
		c.take(10)
		c.Close()
		if a := soon(t, sent); a.code != 200 {
			t.Fatalf("round %d: %+v", i, a)
		}
		if n := r.broker.Stats().Redelivered; n != 0 {
			t.Fatalf("round %d: handed on though it arrived", i)
		}
	}
	r.empty()
}

func TestALargeMessageOfAKilledConsumerEndsWith502AndTheByteCount(t *testing.T) {
	r := start(t)
	const size = 20 << 20
	shares(t, func(t *testing.T, percent int, chunked bool, proto string) {
		c := r.dial("GET /p/large " + proto + "\r\nHost: x\r\n\r\n")
		r.consumers("large", 1)
		sent := later(func() answer { return r.do("POST", "/p/large", body(size, chunked)) })
		n := size * percent / 100
		c.take(n)
		c.Close()
		a := soon(t, sent)
		wantLine(t, a, 502, "bytes")
		count := 0
		for word := range strings.FieldsSeq(a.body) {
			if v, err := strconv.Atoi(word); err == nil {
				count = v
			}
		}
		if count < n/2 || count > size {
			t.Errorf("it says %d bytes, %d were read", count, n)
		}
		r.empty()
	})
}

// The answer is not lost with the connection when the relay has stopped reading in the
// middle of a chunk.
func TestAProducerThatStillSendsChunksHearsThe502(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 0 }) // no interim response
	const half = 4 << 20
	c := r.dial("GET /p/chunks HTTP/1.1\r\nHost: x\r\n\r\n")
	r.consumers("chunks", 1)
	p := r.dial(fmt.Sprintf("POST /p/chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", 2*half))
	piece := make([]byte, half)
	if _, err := p.Write(piece); err != nil {
		t.Fatal(err)
	}
	c.take(half / 2) // soon the relay waits for more
	c.Close()
	if _, err := p.r.Peek(1); err != nil { // the answer is there, and the relay reads on
		t.Fatal(err)
	}
	if _, err := p.Write(piece); err != nil {
		t.Errorf("what is sent after the answer: %v", err)
	}
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusBadGateway || !strings.Contains(string(text), "bytes") {
		t.Errorf("answered %d %q, %v", res.StatusCode, text, err)
	}
	p.Close()
	r.empty()
}

func TestCurlHearsThe502OfAnUploadThatFailed(t *testing.T) {
	r := start(t)
	c := r.dial("GET /p/upload HTTP/1.1\r\nHost: x\r\n\r\n")
	r.consumers("upload", 1)
	cmd := exec.Command("curl", "-sS", "-w", "%{http_code}", "-T", "-", r.url+"/p/upload")
	cmd.Stdin = pattern(20 << 20)
	out := make(chan string, 1)
	go func() {
		text, err := cmd.CombinedOutput()
		out <- fmt.Sprint(string(text), err)
	}()
	c.take(1 << 20)
	c.Close()
	if got := soon(t, out); !strings.Contains(got, "502") || !strings.Contains(got, "bytes") {
		t.Errorf("curl says %q", got)
	}
}

// producers that die while they wait: what they sent before.
var waiting = map[string]string{
	"no body":             "POST /p/ghost HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	"a link":              "GET /p/ghost?body=boo HTTP/1.1\r\nHost: x\r\n\r\n",
	"small body":          "POST /p/ghost HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nboo",
	"small chunked body":  "POST /p/ghost HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nboo\r\n0\r\n\r\n",
	"a part of its body":  "POST /p/ghost HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nboo",
	"HTTP/1.0":            "POST /p/ghost HTTP/1.0\r\nContent-Length: 3\r\n\r\nboo",
	"expects 100":         "POST /p/ghost HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
	"expects 100 in vain": "POST /p/ghost HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nboo",
}

func TestAProducerThatDiesWhileItWaitsIsWithdrawn(t *testing.T) {
	const beat = 100 * time.Millisecond
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = beat })
	for what, request := range waiting {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reset=%v", what, reset), func(t *testing.T) {
				p := r.dial(request)
				r.producers("ghost", 1)
				if reset {
					p.SetLinger(0) //nolint:errcheck // it shows in the test
				}
				p.Close()
				begun := time.Now()
				r.producers("ghost", 0)
				if took := time.Since(begun); took > 2*beat+50*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				r.empty()
			})
		}
	}
}

func TestAProducerThatDiesWithItsBodyUnreadIsWithdrawn(t *testing.T) {
	const beat = 100 * time.Millisecond
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = beat })
	for _, extra := range []string{"Expect:", "Expect: 100-continue", "Transfer-Encoding: chunked"} {
		cmd := exec.Command("curl", "-sS", "-H", extra, "-T", "-", r.url+"/p/huge")
		cmd.Stdin = pattern(200 << 20)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.producers("huge", 1)
		cmd.Process.Kill() //nolint:errcheck // Wait tells
		cmd.Wait()         //nolint:errcheck // killed is an error
		begun := time.Now()
		r.producers("huge", 0)
		if took := time.Since(begun); took > 2*beat+time.Second {
			t.Errorf("%s: it took %v", extra, took)
		}
		r.empty()
	}
}

func TestAConsumerNeverSeesTheMessageOfADeadProducer(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 0 }) // only the look when matched is left
	for what, request := range waiting {
		p := r.dial(request)
		r.producers("ghost", 1)
		p.Close()
		got := later(func() answer { return r.get("/p/ghost") })
		until(t, "the ghost is gone", func() bool {
			n := r.broker.Peek(name(t, "public/ghost"))
			return n.Producers == 0 && n.Consumers == 1
		})
		want(t, r.post("/p/ghost", "alive"), 200, "")
		if a := soon(t, got); a.body != "alive" {
			t.Errorf("%s: the consumer got %+v", what, a)
		}
		r.empty()
	}
}

func TestAProducerThatDiesInMidMessageCutsItsConsumer(t *testing.T) {
	r := start(t)
	for _, from := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		for _, to := range []string{"--http1.1", "--http1.0"} {
			for _, path := range []string{"/p/half", "/p/half?pubsub=true"} {
				t.Run(from+to+path, func(t *testing.T) {
					cmd := exec.Command("curl", "-sSN", to, r.url+"/p/half")
					stdout, err := cmd.StdoutPipe()
					if err != nil {
						t.Fatal(err)
					}
					if err := cmd.Start(); err != nil {
						t.Fatal(err)
					}
					defer cmd.Wait() //nolint:errcheck // once more, if it failed before
					r.consumers("half", 1)
					p := r.dial("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + from + "\r\n\r\n")
					if strings.HasPrefix(from, "Content") {
						p.say("the beginning")
					} else {
						p.say("d\r\nthe beginning\r\n")
					}
					got := make([]byte, len("the beginning"))
					if _, err := io.ReadFull(stdout, got); err != nil {
						t.Fatal(err)
					}
					p.Close()
					io.Copy(io.Discard, stdout) //nolint:errcheck // its exit code counts
					if cmd.Wait() == nil {
						t.Error("curl took a part for the whole")
					}
					r.empty()
				})
			}
		}
	}
}

func TestABrokenBodyIsTheClientsMistake(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/p/broken", "/p/broken?pubsub"} {
		got := later(func() answer { return r.get("/p/broken") })
		r.consumers("broken", 1)
		p := r.dial("POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
		res, _ := p.answer()
		text, _ := io.ReadAll(res.Body)
		wantLine(t, answer{code: res.StatusCode, body: string(text)}, http.StatusBadRequest, "body")
		if a := soon(t, got); a.err == nil {
			t.Errorf("the consumer took a part for the whole: %+v", a)
		}
		r.empty()
	}
}
