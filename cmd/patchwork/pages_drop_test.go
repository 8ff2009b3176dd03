package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// noise writes a file of n random bytes.
func noise(t *testing.T, name string, n int) (file string, text []byte) {
	t.Helper()
	text = make([]byte, n)
	rand.Read(text) //nolint:errcheck // it never fails (crypto/rand)
	file = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, text
}

// offers chooses a file and offers it on a channel.
func (p *tab) offers(file, channel string, encrypt bool) {
	p.t.Helper()
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
	p.shows("chosen", filepath.Base(file))
	p.fill("send-channel", channel)
	if !encrypt {
		p.click("#encrypt")
	}
	p.click("#offer")
	p.until("document.getElementById('link').textContent !== ''") // each tab of a test offers once
}

// saves has a tab keep what is downloaded in a folder, which it returns.
func (p *tab) saves() string {
	p.t.Helper()
	dir := p.t.TempDir()
	_, err := chromedp.CallBrowser(p.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
		BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// saved waits until a download is there, whole.
func (p *tab) saved(file string, want []byte) {
	p.t.Helper()
	var got []byte
	if !inTime(func() bool {
		got, _ = os.ReadFile(file)
		return bytes.Equal(got, want)
	}) {
		p.t.Fatalf("%s has %d bytes, and not the %d that were sent\n%s", file, len(got), len(want), p.state())
	}
}

// command starts a patchwork client that talks to the relay, in a folder of its own.
func (r *relay) command(t *testing.T, args ...string) (c *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	said = new(bytes.Buffer)
	c = exec.CommandContext(t.Context(), "patchwork", args...)
	c.Env = append(os.Environ(), "PATCHWORK_SERVER=http://"+r.http)
	if slices.Contains(args, "--encrypt") {
		c.Env = append(c.Env, "PATCHWORK_PASSPHRASE=correct horse")
	}
	c.Dir, c.Stderr = t.TempDir(), said
	return c, said
}

// aDroppedFileIsDownloaded sends a file from the page to the command line, plain
// and encrypted.
func aDroppedFileIsDownloaded(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, want := noise(t, "it's a näme.bin", 3<<20)
	for _, encrypt := range []bool{false, true} {
		p := b.open(t, "http://"+r.http+"/drop")
		p.offers(file, "p/docs/plan", encrypt)
		args := []string{"download", "docs/plan", "got.bin"}
		if encrypt {
			line := js[string](p, "document.getElementById('download-command').textContent")
			link, ok := strings.CutPrefix(line, "patchwork download '")
			link, closed := strings.CutSuffix(link, "'")
			if !ok || !closed || strings.Contains(link, "'") {
				t.Fatalf("the command is %q", line)
			}
			args = []string{"download", link, "got.bin"}
			p.inBothSchemes("drop-offered")
		}
		c, said := r.command(t, args...)
		if err := c.Run(); err != nil {
			t.Fatalf("download: %v\n%s", err, said)
		}
		got, err := os.ReadFile(filepath.Join(c.Dir, "got.bin"))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("downloaded %d bytes of %d: %v", len(got), len(want), err)
		}
		p.shows("send-state", "Received by the other side: it's a näme.bin, 3.0 MiB.")
	}
}

// pageToPage sends an encrypted file from one browser to another by its link, where
// browsers have no cryptography of their own to offer.
func pageToPage(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, want := noise(t, "photo.jpg", 5<<20)
	_, port, _ := strings.Cut(r.http, ":")
	from := b.open(t, "http://"+farName+":"+port+"/drop")
	if js[bool](from, "isSecureContext") {
		t.Fatal("it is a secure context: the test shows less than it should")
	}
	from.offers(file, "p/pictures", true)
	link := js[string](from, "document.getElementById('link').textContent")
	from.click("#offered .copy")
	from.shows("offered", "Copied")

	link = strings.Replace(link, "photo.jpg", "..%2F..%2F.bashrc", 1)
	to := b.open(t, link)
	dir := to.saves()
	to.click("#take")
	to.shows("receive-state", "Received _")
	if at := js[string](to, "location.href"); !strings.HasSuffix(at, "/drop") {
		t.Errorf("the address is still %s, with the key in it", at)
	}
	if again := js[string](to, "document.getElementById('from').value"); again != link {
		t.Errorf("the link to try again is %q, want %q", again, link)
	}
	sum := sha256.Sum256(want)
	to.shows("receive-state", fmt.Sprintf("5.0 MiB, SHA-256 %x, which the sender has not said.", sum))
	name := js[string](to, "document.getElementById('save').download")
	if strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
		t.Errorf("the name of the file is %q", name)
	}
	to.saved(filepath.Join(dir, name), want)
	from.shows("send-state", "Received by the other side")
	from.do(chromedp.Navigate("about:blank")) // nothing is under way, so nothing asks
}

// aFileIsReceivedToDisk writes a file as it comes. The dialog that asks for a place is
// none of the page; what it hands out is, and the browser's private file system
// hands out the same.
func aFileIsReceivedToDisk(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, want := noise(t, "big.iso", 9<<20)
	from := b.open(t, "http://"+r.http+"/drop")
	from.offers(file, "p/iso", true)
	to := b.open(t, js[string](from, "document.getElementById('link').textContent"))
	js[bool](to, `globalThis.place = navigator.storage.getDirectory().then((dir) => dir.getFileHandle("f", { create: true })),
		window.showSaveFilePicker = ({ suggestedName }) => (globalThis.suggested = suggestedName, place), true`)
	to.click("#to-disk")
	sum := sha256.Sum256(want)
	to.shows("receive-state", fmt.Sprintf("9.0 MiB, SHA-256 %x", sum))
	to.shows("receive-progress", "9.0 MiB of 9.0 MiB")
	const written = `place.then((f) => f.getFile()).then((f) => f.arrayBuffer()).then((b) => crypto.subtle.digest("SHA-256", b)).then((d) => Array.from(new Uint8Array(d), (x) => x.toString(16).padStart(2, "0")).join(""))`
	if got := js[string](to, written); got != fmt.Sprintf("%x", sum) {
		t.Errorf("the file on disk has the SHA-256 %s, want %x", got, sum)
	}
	if name := js[string](to, "suggested"); name != "big.iso" {
		t.Errorf("the page proposes the name %q", name)
	}
}

// namesOfFilesAreHarmless looks at what the dialog that asks for a place would be
// told, and at what the page says when there is none.
func namesOfFilesAreHarmless(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/drop")
	js[bool](p, `window.showSaveFilePicker = ({ suggestedName }) => {
		globalThis.suggested = suggestedName;
		return Promise.reject(new DOMException("", "AbortError"));
	}, document.getElementById("to-disk").hidden = false, true`)
	for name, want := range map[string]string{
		"plan.pdf":                 "plan.pdf",
		"../../.bashrc":            "__.._.bashrc",
		" ..bashrc":                "_bashrc",
		"\u200e.bashrc":            "_.bashrc",
		"a\u0085b\u061cc\u200fd":   "a_b_c_d",
		"exe.\ufeffgpj":            "exe._gpj",
		"end. . ":                  "end",
		"two\nlines\u2028and more": "two_lines_and more",
		"...":                      "_",
		"con|a:b*c?":               "con_a_b_c_",
	} {
		js[bool](p, "suggested = '', document.getElementById('from').value = "+quote("#"+url.Values{"channel": {"p/x"}, "name": {name}}.Encode())+", true")
		p.click("#to-disk")
		p.until("suggested !== ''")
		if got := js[string](p, "suggested"); got != want {
			t.Errorf("for %q the page proposes %q, want %q", name, got, want)
		}
	}
	js[bool](p, `window.showSaveFilePicker = () => Promise.reject(new TypeError("no such name")), true`)
	p.click("#to-disk")
	p.shows("receive-state", "no such name")
}

// aWrongKeyOpensNothing shows what damaged links and foreign files come to.
func aWrongKeyOpensNothing(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, _ := noise(t, "x.bin", 1000)
	from := b.open(t, "http://"+r.http+"/drop")
	from.offers(file, "p/wrong", true)
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	p := b.open(t, "http://"+r.http+"/drop#"+url.Values{"channel": {"p/wrong"}, "key": {other.String()}}.Encode())
	p.click("#take")
	p.shows("receive-state", "The key in this link is for another file.")

	sent := make(chan error, 1)
	go func() {
		res, err := http.Post("http://"+r.http+"/p/plain", "text/plain", strings.NewReader("not encrypted"))
		if err == nil {
			res.Body.Close()
		}
		sent <- err
	}()
	p.fill("from", "http://"+r.http+"/drop#channel=p/plain&key="+other.String())
	p.click("#take")
	p.shows("receive-state", "not encrypted to the key in this link")
	if err := <-sent; err != nil {
		t.Error(err)
	}
	for link, problem := range map[string]string{
		"http://" + r.http + "/drop#channel=p/x&key=AGE-SECRET": "the key in this link is not whole",
		"http://" + r.http + "/drop#key=x":                      "this link names no channel",
		"https://other.example/drop#channel=p/x":                "this link leads to another relay",
		"p/../x":                                                "cannot be part of a channel",
	} {
		p.fill("from", link)
		p.click("#take")
		p.until("document.getElementById('from').validationMessage.includes(" + quote(problem) + ")")
	}
}

// share starts 'patchwork share', and returns the link that it prints with --link.
func (r *relay) share(t *testing.T, args ...string) (c *exec.Cmd, said *bytes.Buffer, link string) {
	t.Helper()
	c, said = r.command(t, append([]string{"share"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if args[0] == "--link" {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatalf("share --link: %v\n%s", err, said)
		}
		link = strings.TrimSpace(line)
	}
	return c, said, link
}

// sharedFilesAreReceived takes what 'patchwork share' sends, in each way it can,
// and 'share' hears that it arrived whole.
func sharedFilesAreReceived(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, want := noise(t, "shared.bin", 2<<20)
	for name, how := range map[string][]string{
		"plain": {}, "passphrase": {"--encrypt"}, "link": {"--link"},
	} {
		c, said, link := r.share(t, append(how, file, name)...)
		p := b.open(t, "http://"+r.http+"/drop")
		dir := p.saves()
		from := name
		if name == "link" {
			from = link
		}
		p.fill("from", from)
		if name == "passphrase" {
			p.click("#receive-title ~ form details summary")
			p.fill("passphrase", "wrong")
			p.click("#take")
			p.shows("receive-state", "The passphrase is wrong")
			p.fill("passphrase", "correct horse")
		}
		p.click("#take")
		p.shows("receive-state", "as the sender says too.")
		if err := c.Wait(); err != nil || !strings.Contains(said.String(), "confirmed by the receiver") {
			t.Errorf("share: %v\n%s", err, said)
		}
		saved := js[string](p, "document.getElementById('save').download")
		p.saved(filepath.Join(dir, saved), want)
	}
}

// aCutTransferGoesOn breaks the connection of a download in the middle, once.
func aCutTransferGoesOn(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, want := noise(t, "long.bin", 8<<20)
	var cut atomic.Bool
	front := cutting(t, r, "/p/long", 3<<20, &cut)
	c, said, link := r.share(t, "--link", file, "long")
	p := b.open(t, strings.Replace(link, "http://"+r.http, front, 1))
	dir := p.saves()
	p.click("#take")
	p.shows("receive-state", "as the sender says too.")
	if err := c.Wait(); err != nil || !strings.Contains(said.String(), "confirmed by the receiver") {
		t.Errorf("share: %v\n%s", err, said)
	}
	if !cut.Load() {
		t.Error("nothing was cut: the test shows nothing")
	}
	p.saved(filepath.Join(dir, "long.bin"), want)
	p.notes("ERR_|Failed to load")
}

// anEndlessAnswerIsNotReadWhole has a sender say why it failed, without an end.
func anEndlessAnswerIsNotReadWhole(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	report, secret := r.newHook(t)
	p := b.open(t, "http://"+r.http+"/drop#channel=p/endless")
	p.click("#take")
	r.send(t, http.MethodPost, "/p/endless", "abc",
		"Patch-H-Patchwork-Transfer", "1", "Patch-H-Patchwork-Size", "3", "Patch-H-Patchwork-Report", report)
	var said struct{ Answer, Proof string }
	for said.Proof == "" { // the first report is that it has begun
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.http+"/r/"+report, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Patch-Secret", secret)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(res.Body).Decode(&said)
		res.Body.Close()
		if err != nil {
			t.Fatalf("%s: %v", res.Status, err)
		}
	}
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.http+"/r/"+said.Answer, endless{})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Patch-H-Patchwork-Answer", "failed")
	var talking sync.WaitGroup
	talking.Go(func() {
		if res, err := http.DefaultClient.Do(req); err == nil { // an error is as good: nobody listens
			res.Body.Close()
		}
	})
	p.shows("receive-state", "The sender says: aaaa")
	enough()
	talking.Wait()
	p.may("ERR_|Failed to load")
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// cutting is a proxy before a relay that breaks the first response from a path
// after n bytes.
func cutting(t *testing.T, r *relay, path string, n int64, done *atomic.Bool) string {
	t.Helper()
	return proxied(t, r, func(res *http.Response) error {
		if res.Request.URL.Path == path && res.Request.Method == http.MethodGet && done.CompareAndSwap(false, true) {
			res.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(res.Body, n), broken{}), res.Body}
		}
		return nil
	})
}

// broken is a connection that breaks.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, context.Canceled }
