package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"patchwork/cmd/patchwork/client"
)

// dialSocket opens a WebSocket that hears itself. When that fails the reply says
// what came instead.
func (e *exam) dialSocket(ctx context.Context, name string) (*websocket.Conn, reply) {
	d := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: soon, TLSClientConfig: e.socketTLS()}
	address := strings.TrimRight(e.base.String(), "/") + "/pipe/" + strings.TrimPrefix(e.channel, "/p/") + "/" + name + "?replay=true"
	for {
		if err := e.pace.Wait(ctx); err != nil {
			return nil, reply{err: err}
		}
		conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(address, "http"), nil)
		switch {
		case err == nil:
			return conn, reply{status: http.StatusSwitchingProtocols}
		case resp == nil:
			return nil, reply{err: err}
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusTooManyRequests {
			return nil, reply{status: resp.StatusCode, header: resp.Header}
		}
		if err := client.Pause(ctx, client.RetryAfter(resp.Header)); err != nil {
			return nil, reply{err: err}
		}
	}
}

func (e *exam) socketTLS() *tls.Config {
	c := e.tls.Clone()
	c.NextProtos = []string{"http/1.1"} // an upgrade is one of HTTP/1.1
	return c
}

// echo sends a message and waits until it is back.
func echo(conn *websocket.Conn, kind int, data []byte) error {
	end := time.Now().Add(soon)
	if err := conn.SetWriteDeadline(end); err != nil {
		return err
	}
	if err := conn.WriteMessage(kind, data); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(end); err != nil {
		return err
	}
	gotKind, got, err := conn.ReadMessage()
	if err == nil && (gotKind != kind || !bytes.Equal(got, data)) {
		err = fmt.Errorf("message %q of kind %d came back as %q of kind %d", data, kind, got, gotKind)
	}
	return err
}

// websocket opens a pipe and has it echo text and bytes.
func (e *exam) websocket(ctx context.Context) []Finding {
	const check = "websocket"
	conn, answer := e.dialSocket(ctx, "socket")
	if conn == nil {
		means := "browsers and wscat cannot connect"
		if answer.status == http.StatusUpgradeRequired {
			means += ": the Upgrade header does not reach the relay"
		}
		return []Finding{bad(check, means, "the upgrade gets %s", answer).mendedBy(remedyUpgrade)}
	}
	defer conn.Close()
	for kind, data := range map[int][]byte{websocket.TextMessage: []byte("text"), websocket.BinaryMessage: {0, 1, 0xff}} {
		if err := echo(conn, kind, data); err != nil {
			return []Finding{bad(check, "the proxy upgrades, and passes nothing on", "no echo: %v", err).mendedBy(remedyUpgrade)}
		}
	}
	return []Finding{good(check, "text and binary messages pass both ways")}
}
