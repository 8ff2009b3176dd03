package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/chromedp/chromedp"
)

// whatPassesIsAnAgeFile looks at what the relay sees of an encrypted file.
func whatPassesIsAnAgeFile(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, want := noise(t, "secret-plan.txt", 200_000)
	p := b.open(t, "http://"+r.http+"/drop")
	p.offers(file, "p/sealed", true)
	_, fragment, _ := strings.Cut(js[string](p, "document.getElementById('link').textContent"), "#")
	said, err := url.ParseQuery(fragment)
	if err != nil || said.Get("channel") != "p/sealed" || said.Get("name") != "secret-plan.txt" {
		t.Fatalf("the link says %q: %v", said, err)
	}
	key, err := age.ParseX25519Identity(said.Get("key"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + r.http + "/p/sealed")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	sealed, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Patchwork-Seal") != "age" || res.Header.Get("Patchwork-Size") != "200000" || strings.Contains(fmt.Sprint(res.Header), "secret-plan") {
		t.Errorf("the headers are %v", res.Header)
	}
	inside, err := age.Decrypt(bytes.NewReader(sealed), key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(inside); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("inside are %d bytes: %v", len(got), err)
	}
	p.shows("send-state", "Received by the other side")
	if strings.Contains(r.logged(), key.String()) {
		t.Error("the key is in the relay's log")
	}
}

// aFileTooLongToEncryptIsRefused offers one of more than 2 GiB, with nothing in it. The
// page says so before it begins, and sends it as it is when told to.
func aFileTooLongToEncryptIsRefused(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	file, _ := noise(t, "disk.img", 0)
	if err := os.Truncate(file, 2<<30+1); err != nil {
		t.Fatal(err)
	}
	p := b.open(t, "http://"+r.http+"/drop")
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
	p.fill("send-channel", "p/img")
	p.click("#offer")
	p.shows("send-state", "This page encrypts files of up to 2.0 GiB")
	p.shows("send-state", "patchwork share --link FILE")
	if js[bool](p, "!document.getElementById('offered').hidden") {
		t.Error("a link to it is shown")
	}
	if n, err := peek("http://"+r.http+"/p/img", "Producers"); err != nil || n != 0 {
		t.Errorf("%d send there, %v", n, err)
	}
	p.click("#encrypt")
	p.click("#offer")
	p.shows("send-state", "Offered.")
	p.click("#send-stop")
	p.shows("send-state", "Stopped.")
}
