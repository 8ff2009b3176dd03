package httpfront_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchwork/broker"
	"patchwork/httpfront"
)

func TestABroadcastReachesAllAndCountsThem(t *testing.T) {
	r := start(t)
	for n := range 4 {
		var got []<-chan answer
		for i := range n {
			got = append(got, later(func() answer { return r.get("/p/all") }))
			r.consumers("all", i+1)
		}
		a := r.post("/p/all?pubsub", "to all")
		want(t, a, 200, "")
		if a.header.Get("Patch-Delivered") != strconv.Itoa(n) {
			t.Errorf("delivered %s, want %d", a.header.Get("Patch-Delivered"), n)
		}
		for _, g := range got {
			want(t, soon(t, g), 200, "to all")
		}
	}
	r.empty()
}

func TestABigBroadcastReachesEveryWaitingGETWhole(t *testing.T) {
	r := start(t)
	whole := string(noise()[:10<<20])
	var got []<-chan answer
	for i := range 4 {
		got = append(got, later(func() answer { return r.get("/p/bigall") }))
		r.consumers("bigall", i+1)
	}
	a := r.do("POST", "/p/bigall?pubsub", body(10<<20, true))
	want(t, a, 200, "")
	whole4 := 0
	for _, g := range got {
		if a := soon(t, g); a.err == nil && a.body == whole {
			whole4++
		} else {
			t.Errorf("one got %d bytes, %v", len(a.body), a.err)
		}
	}
	if a.header.Get("Patch-Delivered") != strconv.Itoa(whole4) {
		t.Errorf("delivered %s, %d got it whole", a.header.Get("Patch-Delivered"), whole4)
	}
	r.empty()
}

func TestAStoppedReceiverHoldsABroadcastForASecondOnly(t *testing.T) {
	r := start(t)
	one := r.dial("GET /p/stopped HTTP/1.1\r\nHost: x\r\n\r\n")
	r.dial("GET /p/stopped?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
	r.consumers("stopped", 1)
	r.followers("stopped", 1)
	begun := time.Now()
	a := r.do("POST", "/p/stopped?pubsub", body(20<<20, false))
	want(t, a, 200, "")
	if took := time.Since(begun); took > 3*time.Second || a.header.Get("Patch-Delivered") != "0" {
		t.Errorf("it took %v, delivered %s", took, a.header.Get("Patch-Delivered"))
	}
	res, _ := one.answer()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a receiver got %d bytes and %v", n, err)
	}
}

func TestAStoppedFollowerIsCutOffByAPublisherThatWaits(t *testing.T) {
	r := startWith(t, broker.Options{Stall: 300 * time.Millisecond})
	r.dial("GET /p/stall?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
	got := later(func() answer { return r.get("/topic/stall") })
	r.followers("stall", 2)
	want(t, r.do("POST", "/topic/stall", body(20<<20, false)), 200, "")
	if a := soon(t, got); a.err != nil || len(a.body) != 20<<20 {
		t.Errorf("the other got %d bytes, %v", len(a.body), a.err)
	}
	r.followers("stall", 0)
	if n := r.broker.Stats().Evicted; n != 1 {
		t.Errorf("%d were cut off", n)
	}
	r.empty()
}

func TestAFollowerThatStopsReadingIsCutOffByTheWriteTimeout(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.WriteTimeout = 300 * time.Millisecond })
	for _, request := range []string{"GET /p/idle?follow HTTP/1.1\r\nHost: x\r\n\r\n", "GET /p/idle HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /p/idle HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"} {
		r.dial(request)
		until(t, "a receiver", func() bool {
			n := r.broker.Peek(name(t, "public/idle"))
			return n.Consumers+n.Subscribers == 1
		})
		r.do("POST", "/p/idle", body(20<<20, false))
		r.empty()
	}
}

func TestFollowersGetBroadcastsAndQueueMessagesInOrder(t *testing.T) {
	r := start(t)
	c := r.dial("GET /p/follow?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
	r.followers("follow", 1)
	res, _ := c.answer()
	lines := bufio.NewReader(res.Body)
	for i := range 20 {
		path := "/p/follow"
		if i%2 == 1 {
			path += "?pubsub"
		}
		text := strconv.Itoa(i) + "\n"
		want(t, r.post(path, text), 200, "")
		if line, err := lines.ReadString('\n'); line != text || err != nil {
			t.Fatalf("%q, %v", line, err)
		}
	}
	c.Close()
	r.followers("follow", 0)
	r.empty()
}

func TestSeveralFollowersShareAQueueAndAllHearABroadcast(t *testing.T) {
	r := start(t)
	var readers []*bufio.Reader
	for i := range 3 {
		c := r.dial("GET /p/share HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
		r.followers("share", i+1)
		res, _ := c.answer()
		readers = append(readers, bufio.NewReader(res.Body))
	}
	for i := range 6 {
		want(t, r.post("/p/share", "job "+strconv.Itoa(i)), 200, "")
	}
	a := r.post("/p/share?pubsub", "end")
	want(t, a, 200, "")
	if a.header.Get("Patch-Delivered") != "3" {
		t.Errorf("delivered %s", a.header.Get("Patch-Delivered"))
	}
	jobs := 0
	for _, lines := range readers {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, `"end"`) && strings.Contains(line, `"body":"end"`) {
				break
			}
			jobs++
		}
	}
	if jobs != 6 {
		t.Errorf("%d jobs were seen, 6 were sent", jobs)
	}
}
