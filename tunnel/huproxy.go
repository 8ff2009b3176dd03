package tunnel

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// The huproxy protocol (github.com/google/huproxy): the bytes of a TCP connection
// as binary WebSocket messages, cut anywhere. There, a close ends both directions.
// Ends that agree on this subprotocol carry the end of one direction by itself, as
// an empty binary message, which occurs for no other reason.
const halfCloses = "patchwork.half-close"

const (
	// pingEvery keeps the connection alive in the eyes of proxies between.
	pingEvery = 30 * time.Second
	// silence is how long a peer may say nothing at all. It is long, because a peer
	// that is held back by whoever reads its output answers no pings either.
	silence = 15 * time.Minute
	// goodbye bounds what is done for a peer that may not be there any more.
	goodbye = 5 * time.Second
)

var upgrader = websocket.Upgrader{
	HandshakeTimeout: 20 * time.Second,
	ReadBufferSize:   32 << 10,
	WriteBufferSize:  32 << 10,
	WriteBufferPool:  &sync.Pool{},
	Subprotocols:     []string{halfCloses},
	CheckOrigin:      func(*http.Request) bool { return true }, // no credentials that a browser adds by itself
	Error:            func(http.ResponseWriter, *http.Request, int, error) {},
}

// Upgrade answers a huproxy request, once its target is connected. After an
// error that is a [websocket.HandshakeError] nothing has been written yet.
func Upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	return upgrader.Upgrade(w, r, nil)
}

// ServeWebSocket joins an upgraded huproxy connection and its target until both
// directions have ended, like [Join], and closes both. A peer that closes its
// connection, as the public client does at the end of its input, is a proper end.
func ServeWebSocket(ctx context.Context, conn *websocket.Conn, target io.ReadWriteCloser) error {
	return newFrames(conn).join(ctx, target)
}
