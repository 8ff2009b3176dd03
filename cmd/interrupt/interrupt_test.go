package interrupt

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalsAtOnceAreOneStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		stopped, ended := false, false
		go func() {
			awaitStops(signals, func() { stopped = true })
			ended = true
		}()
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
		<-time.After(sameStop / 2)
		signals <- syscall.SIGTERM
		<-time.After(10 * sameStop)
		synctest.Wait()
		if !stopped || ended {
			t.Fatalf("after one stop: stopped %v, ended %v", stopped, ended)
		}
		signals <- os.Interrupt
		synctest.Wait()
		if !ended {
			t.Error("a second stop does not end it")
		}
	})
}
