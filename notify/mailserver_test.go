package notify

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailServer is a running aiosmtpd, see testdata/smtpd.py.
type mailServer struct {
	port  string
	lines *bufio.Scanner
	roots *x509.CertPool
}

// taken is one mail as the server took it.
type taken struct {
	Helo string   `json:"helo"`
	From string   `json:"from"`
	To   []string `json:"to"`
	TLS  bool     `json:"tls"`
	User string   `json:"user"`
	Text string   `json:"text"`
}

func startMailServer(t *testing.T, mode string) *mailServer {
	t.Helper()
	program, err := exec.LookPath("aiosmtpd")
	if err != nil {
		t.Fatal("aiosmtpd is missing: run 'make test', which installs it (Debian: python3-aiosmtpd)")
	}
	script, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(script), "\n") // the Python that has the module
	args := append(strings.Fields(strings.TrimPrefix(first, "#!")), filepath.Join("testdata", "smtpd.py"), mode)
	s := &mailServer{}
	if mode != "none" {
		cert, key, roots := certificate(t)
		args, s.roots = append(args, cert, key), roots
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.lines = bufio.NewScanner(stdout)
	s.lines.Buffer(nil, 1<<20)
	if !s.lines.Scan() {
		t.Fatal("aiosmtpd did not start")
	}
	s.port = s.lines.Text()
	return s
}

// certificate makes one for mx.test.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: privateDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, roots
}

// sender dials the server, whatever the name: the configuration says mx.test.
func (s *mailServer) sender(t *testing.T) *Sender {
	return newSender(t, Options{
		TLS: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(address); host != "mx.test" {
				return nil, fmt.Errorf("no such host %s", host)
			}
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+s.port)
		},
	})
}

func (s *mailServer) next(t *testing.T) taken {
	t.Helper()
	if !s.lines.Scan() {
		t.Fatal("the mail server has ended")
	}
	var m taken
	if err := json.Unmarshal(s.lines.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
