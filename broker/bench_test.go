package broker

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
)

// spoiling buffers is for tests; it would be most of what is measured.
func bench(b *testing.B) (*Broker, context.Context) {
	b.Helper()
	old := poison
	poison = nil
	b.Cleanup(func() { poison = old })
	b.ReportAllocs()
	return New(Options{}), context.Background()
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		for _, size := range []int{100, 16 << 10} {
			b.Run(fmt.Sprintf("to=%d/size=%d", n, size), func(b *testing.B) {
				br, ctx := bench(b)
				var wg sync.WaitGroup
				for range n {
					s, _ := br.Subscribe(jobs, SubscribeOptions{})
					wg.Go(func() {
						defer s.Close()
						for {
							if _, err := s.Next(ctx); err != nil {
								return
							}
						}
					})
				}
				p, _ := br.Publish(jobs, PublishOptions{Wait: true})
				data := make([]byte, size)
				b.SetBytes(int64(n * size))
				for b.Loop() {
					if err := p.Write(ctx, data); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "deliveries/s")
				p.End(ctx)
				p.Close()
				wg.Wait()
			})
		}
	}
}

func BenchmarkSendReceive(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			br, ctx := bench(b)
			names := make([]Name, n)
			for i := range names {
				names[i] = name(fmt.Sprintf("public/%d", i))
			}
			var wg sync.WaitGroup
			sent := make(chan Name, 1)
			wg.Go(func() {
				for n := range sent {
					br.Send(ctx, n, Message{})
				}
			})
			i := 0
			for b.Loop() {
				n := names[i%n]
				i++
				sent <- n
				d, err := br.Receive(ctx, n)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = d.Next(ctx)
				}
				d.Done(nil)
			}
			close(sent)
			wg.Wait()
		})
	}
}

// Many pairs side by side, each on a name of its own, among many that wait.
func BenchmarkSendReceiveAmongWaiting(b *testing.B) {
	br, ctx := bench(b)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 10_000 {
		n := name(fmt.Sprintf("public/w/%d", i))
		wg.Go(func() { br.Receive(ctx, n) })
	}
	b.RunParallel(func(pb *testing.PB) {
		d := name(fmt.Sprintf("public/%p", pb))
		for pb.Next() {
			done := make(chan error, 1)
			go func() { done <- br.Send(ctx, d, msg("hello")) }()
			receive(ctx, br, d)
			<-done
		}
	})
	cancel()
	wg.Wait()
}

func BenchmarkLongMessage(b *testing.B) {
	br, ctx := bench(b)
	const size = 64 << 20
	b.SetBytes(size)
	text, line := make([]byte, 32<<10), make([]byte, blockSize) // both sides copy once, as a socket would
	for b.Loop() {
		sent := later(func() error {
			return br.Send(ctx, jobs, Message{Size: size, Body: io.LimitReader(repeated{text}, size)})
		})
		d, err := br.Receive(ctx, jobs)
		for err == nil {
			var data []byte
			data, err = d.Next(ctx)
			copy(line, data)
		}
		d.Done(nil)
		if err := <-sent; err != nil {
			b.Fatal(err)
		}
	}
}

type repeated struct{ text []byte }

func (r repeated) Read(p []byte) (int, error) { return copy(p, r.text), nil }

// Requests with answers, one after the other.
func BenchmarkCall(b *testing.B) {
	br, ctx := bench(b)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			d, err := br.Receive(ctx, resX)
			if err != nil {
				return
			}
			read(ctx, d)
			br.Answer(ctx, resX, d.Info.Reply, msg("answer"))
		}
	})
	for b.Loop() {
		c, _ := br.Call(ctx, reqX, msg("question"))
		sent := later(func() error { return c.Send(ctx) })
		d, err := c.Answer(ctx, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		read(ctx, d)
		<-sent
		c.Close()
	}
	br.Close()
	wg.Wait()
}
