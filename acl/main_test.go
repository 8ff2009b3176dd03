package acl

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// The suite logs at debug level into suiteLog, and looks afterwards for what must
// never be there.
var (
	suiteLog lockedBuffer
	secrets  struct {
		sync.Mutex
		words map[string]bool
	}
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// secret marks a word as one that no log line may hold, nor its digest.
func secret(word string) string {
	secrets.Lock()
	defer secrets.Unlock()
	if secrets.words == nil {
		secrets.words = map[string]bool{}
	}
	secrets.words[word] = true
	sum := digestOf(word)
	secrets.words[fmt.Sprintf("%x", sum[:])] = true
	return word
}

func debugLog(w ...*lockedBuffer) *slog.Logger {
	handlers := []slog.Handler{slog.NewTextHandler(&suiteLog, &slog.HandlerOptions{Level: slog.LevelDebug})}
	for _, b := range w {
		handlers = append(handlers, slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewMultiHandler(handlers...))
}

func TestMain(m *testing.M) {
	slog.SetDefault(debugLog())
	code := m.Run()
	log := suiteLog.String()
	for word := range secrets.words {
		if strings.Contains(log, word) {
			fmt.Printf("FAIL: the log of the suite holds a secret: %q\n", word)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println("FAIL:", err)
		code = 1
	}
	os.Exit(code)
}
