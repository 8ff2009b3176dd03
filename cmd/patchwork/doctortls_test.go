package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"patchwork/cmd/patchwork/doctor"
)

// selfSigned writes a certificate for the loopback, and its key.
func selfSigned(t *testing.T, until time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// tlsFront runs nginx with TLS and HTTP/2 before a relay, and beside it a server
// that sends people there, with the directive redirect.
func tlsFront(t *testing.T, r *relay, until time.Time, redirect string) (secure, plain, certFile string) {
	t.Helper()
	certFile, keyFile := selfSigned(t, until)
	secure, plain = unusedAddress(), unusedAddress()
	redirect = strings.ReplaceAll(redirect, "$host", secure) // the real ports are 443 and 80
	nginxServers(t, "http://"+plain, fmt.Sprintf(`server { listen %s ssl http2; ssl_certificate %s; ssl_certificate_key %s;
location / { %s } }
server { listen %s; %s }`, secure, certFile, keyFile, relayIn(r, goodNginx()), plain, redirect))
	return secure, plain, certFile
}

func TestDoctorGoesThroughTLSAndHTTP2(t *testing.T) {
	t.Parallel()
	r := testRelay(t, "--trusted-proxies", proxyPeer)
	secure, plain, cert := tlsFront(t, r, time.Now().AddDate(1, 0, 0), "return 301 https://$host$request_uri;")
	args := []string{"--idle", "2s", "--body", "1MiB", "--ssh-port", "-1"}

	got, code := askDoctor(t, []string{"SSL_CERT_FILE=" + cert}, append(args, "https://"+secure)...)
	wantTroubles(t, got, code, map[string]doctor.Verdict{})
	for check, seen := range map[string]string{"http2": "messages pass over it", "certificate": "TLS 1."} {
		if f := findingOf(got, check); !strings.Contains(f.Seen, seen) {
			t.Error(f)
		}
	}

	t.Run("an unknown authority", func(t *testing.T) {
		got, code := askDoctor(t, nil, append(args, "https://"+secure)...)
		wantTroubles(t, got, code, map[string]doctor.Verdict{"certificate": doctor.VerdictFail})
		if f := findingOf(got, "certificate"); !strings.Contains(f.Seen, "SSL_CERT_FILE") {
			t.Error(f)
		}
	})
	t.Run("a redirect, and a better one", func(t *testing.T) {
		got, code := askDoctor(t, []string{"SSL_CERT_FILE=" + cert}, append(args, plain)...)
		wantTroubles(t, got, code, map[string]doctor.Verdict{"redirect": doctor.VerdictWarn})
		if got.URL != "https://"+secure {
			t.Errorf("looked at %s", got.URL)
		}
		mend := strings.Join(directives(got.Config["nginx"], true), "\n")
		_, plain, cert := tlsFront(t, r, time.Now().AddDate(1, 0, 0), mend)
		got, code = askDoctor(t, []string{"SSL_CERT_FILE=" + cert}, append(args, plain)...)
		wantTroubles(t, got, code, map[string]doctor.Verdict{})
		if f := findingOf(got, "redirect"); !strings.Contains(f.Seen, "308, which keeps a POST a POST") {
			t.Error(f)
		}
	})
}

// Without a word of which protocol its client speaks, nginx gets heartbeats, and hands
// them on as the end.
func TestDoctorSeesHeartbeatsBreakHTTP2AndMendsIt(t *testing.T) {
	t.Parallel()
	r := testRelay(t, "--trusted-proxies", proxyPeer, "--heartbeat", "500ms")
	certFile, keyFile := selfSigned(t, time.Now().AddDate(1, 0, 0))
	ask := func(location []string) (doctor.Report, int) {
		secure, plain := unusedAddress(), unusedAddress()
		nginxServers(t, "http://"+plain, fmt.Sprintf(`server { listen %s ssl http2; ssl_certificate %s; ssl_certificate_key %s;
location / { %s } }
server { listen %s; return 404; }`, secure, certFile, keyFile, relayIn(r, location), plain))
		return askDoctor(t, []string{"SSL_CERT_FILE=" + certFile}, "--idle", "2s", "--body", "1", "--ssh-port", "-1", "https://"+secure)
	}
	got, code := ask(override(goodNginx(), "-proxy_set_header Patch-Protocol"))
	wantTroubles(t, got, code, map[string]doctor.Verdict{"idle-http2": doctor.VerdictFail})
	got, code = ask(override(goodNginx(), directives(got.Config["nginx"], false)...))
	wantTroubles(t, got, code, map[string]doctor.Verdict{})
	if f := findingOf(got, "idle-http2"); f.Verdict != doctor.VerdictOK {
		t.Error(f)
	}
}

func TestDoctorSeesACertificateEnd(t *testing.T) {
	t.Parallel()
	r := testRelay(t, "--trusted-proxies", proxyPeer)
	args := []string{"--quick", "--body", "1MiB", "--ssh-port", "-1"}
	secure, _, cert := tlsFront(t, r, time.Now().AddDate(0, 0, 3), "return 404;")
	got, code := askDoctor(t, []string{"SSL_CERT_FILE=" + cert}, append(args, "https://"+secure)...)
	wantTroubles(t, got, code, map[string]doctor.Verdict{"certificate": doctor.VerdictWarn})
	secure, _, cert = tlsFront(t, r, time.Now().Add(-time.Minute), "return 404;")
	got, code = askDoctor(t, []string{"SSL_CERT_FILE=" + cert}, append(args, "https://"+secure)...)
	wantTroubles(t, got, code, map[string]doctor.Verdict{"certificate": doctor.VerdictFail})
}
