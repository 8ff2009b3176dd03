// Package transfer is 'patchwork share' and 'patchwork download': a file or directory
// from one machine to another, past cuts and restarts of the relay, with a checksum
// that both sides agree on, and encrypted with age if somebody asks for it.
package transfer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
	"time"
)

// How 'share' and 'download' talk; docs/files.md tells it in full.
//
// The file is a message on CHANNEL, so that curl can take it. Its headers name
// the size and a reverse hook, which only the sharing side can read. 'download'
// reports there how far it came and with what checksum, naming a hook of its own
// to which the answer goes: the rest of the file, or that all is well. Hooks
// outlive a restart of the relay, need no rights, and match no wildcard.
const (
	transferHeader  = "Patchwork-Transfer" // 1, the version of all this
	sizeHeader      = "Patchwork-Size"     // of the file, in bytes
	kindHeader      = "Patchwork-Kind"     // file or tar
	sealHeader      = "Patchwork-Seal"     // age when it is encrypted, else absent
	reportHeader    = "Patchwork-Report"   // the hook that takes reports
	attemptHeader   = "Patchwork-Attempt"  // which of the messages this is, from 0
	answerHeader    = "Patchwork-Answer"   // data, done, restart, busy or failed
	offsetHeader    = "Patchwork-Offset"   // of the first byte of an answer's data
	proofHeader     = "Patchwork-Proof"    // of an answer that says done
	transferVersion = "1"
)

// The answers to a report.
const (
	answerData    = "data"    // the rest of the file is the body
	answerDone    = "done"    // both sides have the same
	answerRestart = "restart" // what the receiver had is of another file: begin anew
	answerBusy    = "busy"    // somebody else receives it now
	answerFailed  = "failed"  // it is over; the body says why
)

// A report is what the receiving side says.
type report struct {
	Answer  string `json:"answer"`           // the reverse hook that takes the answer
	Begun   bool   `json:"begun,omitempty"`  // the file has begun to come; no answer is needed
	Failed  string `json:"failed,omitempty"` // the receiver gave up
	Offset  int64  `json:"offset"`           // how much of the file it has
	Proof   string `json:"proof"`            // of that much
	Found   bool   `json:"found,omitempty"`  // all of it was there before this transfer
	Attempt int    `json:"attempt"`          // the message whose key the proof is made with
}

// patienceDefault is how long either side of a transfer waits for the other to
// come back.
const patienceDefault = 5 * time.Minute

// proof says what a sum is, and with what words, to somebody who has the key. A
// transfer without encryption has none, and its proof is the sum itself.
func proof(key []byte, word string, sum []byte) string {
	if key == nil {
		return hex.EncodeToString(sum)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "patchwork %s\n", word)
	mac.Write(sum)
	return hex.EncodeToString(mac.Sum(nil))
}

// sameProof compares without telling how far two proofs agree.
func sameProof(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// digest is a SHA-256 that one goroutine feeds and another reads.
type digest struct {
	mu sync.Mutex // guards the rest
	h  hash.Hash
	n  int64
}

func newDigest() *digest { return &digest{h: sha256.New()} }

func (d *digest) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n += int64(len(p))
	return d.h.Write(p)
}

// sum returns how many bytes there were, and their checksum.
func (d *digest) sum() (int64, []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n, d.h.Sum(nil)
}

func (d *digest) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.h.Reset()
	d.n = 0
}
