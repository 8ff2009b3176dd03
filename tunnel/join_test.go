package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// joined has two TCP connections with a Join between their inner ends.
func joined(t *testing.T) (a, b *net.TCPConn, result <-chan error, cancel context.CancelCauseFunc) {
	t.Helper()
	a, ai := tcpPair(t)
	b, bi := tcpPair(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	c := make(chan error, 1)
	done := make(chan struct{})
	go func() { defer close(done); c <- Join(ctx, ai, bi) }()
	t.Cleanup(func() { cancel(nil); <-done })
	return a, b, c, cancel
}

func TestAnEndInOneDirectionLeavesTheOtherOpen(t *testing.T) {
	a, b, result, _ := joined(t)
	io.WriteString(a, "question")
	a.CloseWrite()
	if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	io.WriteString(b, "answer")
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if err := <-result; err != nil {
		t.Errorf("Join: %v; want nil after two proper ends", err)
	}
}

func TestABrokenEndTakesTheOtherWithIt(t *testing.T) {
	a, b, result, _ := joined(t)
	a.SetLinger(0)
	a.Close()
	if _, err := io.ReadAll(b); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the other end: %v", err)
	}
	if err := <-result; err == nil {
		t.Error("Join: nil; want the reset")
	}
}

func TestAJoinEndsWithItsContext(t *testing.T) {
	a, b, result, cancel := joined(t)
	reason := errors.New("the relay is going down")
	cancel(reason)
	if err := <-result; err != reason {
		t.Errorf("Join: %v; want the cause", err)
	}
	for _, c := range []net.Conn{a, b} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("an end is still open")
		}
	}
}

// end is a join's end of which each part can be chosen.
type end struct {
	io.Reader
	io.Writer
	closed atomic.Bool
}

func (e *end) Close() error { e.closed.Store(true); return nil }

func TestBytesThatComeWithTheEndAreNotLost(t *testing.T) {
	var got strings.Builder
	from := &end{Reader: iotest.DataErrReader(strings.NewReader("the last words")), Writer: io.Discard}
	to := &end{Reader: strings.NewReader(""), Writer: &got}
	if err := Join(t.Context(), from, to); err != nil || got.String() != "the last words" {
		t.Errorf("%q, %v", got.String(), err)
	}
	if !from.closed.Load() || !to.closed.Load() {
		t.Error("an end was not closed")
	}
}

func TestBytesThatComeWithAFailureAreNotLostAndBothErrorsAreTold(t *testing.T) {
	up, down := errors.New("up"), errors.New("down")
	var a, b strings.Builder
	x := &end{Reader: iotest.DataErrReader(io.MultiReader(strings.NewReader("1"), iotest.ErrReader(up))), Writer: &a}
	y := &end{Reader: io.MultiReader(strings.NewReader("2"), iotest.ErrReader(down)), Writer: &b}
	if err := Join(t.Context(), x, y); !errors.Is(err, up) || !errors.Is(err, down) {
		t.Errorf("%v; want both errors", err)
	}
	if a.String() != "2" || b.String() != "1" {
		t.Errorf("%q and %q arrived", a.String(), b.String())
	}
}
