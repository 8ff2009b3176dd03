package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// As with docker:dind, which makes its certificates on a volume when it has started.
func TestCertificatesOfDockerMayComeLater(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	made, certs := t.TempDir(), filepath.Join(t.TempDir(), "client")
	pair := writeCerts(t, made)
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	pass.FlushInterval = -1
	pass.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", e.socket)
	}}
	server := httptest.NewUnstartedServer(pass)
	authority := x509.NewCertPool()
	authority.AddCert(pair.Leaf)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority}
	server.StartTLS()
	t.Cleanup(server.Close) // after pipemgr has ended

	t.Setenv("DOCKER_CERT_PATH", certs)
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	sub := r.subscribe()
	m := launch(t, "tcp://"+server.Listener.Addr().String(), r)
	m.says("ca.pem")
	must(t, os.Rename(made, certs))
	m.says("msg=connected to=Docker")
	e.run(t, "safe", "/bin/busybox echo safe", options{}).wait()
	sub.until("a line is there", func(lines []string) bool { return len(lines) > 0 })
	m.stop()
	compare(t, sub.got(), []string{"safe"})
	wantMatches(t, strings.Join(m.got(), "\n"), `level=WARN msg="not connected, trying again" to=Docker error=".*ca\.pem`, 1)
	wantMatches(t, strings.Join(m.got(), "\n"), "level=WARN", 1)
}

// writeCerts makes one certificate that is authority, server and client in one, and the
// files that DOCKER_CERT_PATH is to have.
func writeCerts(t *testing.T, dir string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	what := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, what, what, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, text := range map[string][]byte{"ca.pem": cert, "cert.pem": cert, "key.pem": secret} {
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	pair, err := tls.X509KeyPair(cert, secret)
	must(t, err)
	return pair
}
