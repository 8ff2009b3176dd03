package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/gorilla/websocket"
)

// websocketMain is the command ws of the scripts:
//
//	ws [-n COUNT] URL [MESSAGE…]
//
// sends each MESSAGE as a text message, prints COUNT received ones (default: all
// until the relay closes) as a line each, closes and exits 0. A connection that
// fails, or ends before COUNT, is exit 1 with the reason on stderr.
func websocketMain() {
	count := flag.Int("n", -1, "messages to receive")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: ws [-n COUNT] URL [MESSAGE…]")
		os.Exit(2)
	}
	if err := talk(flag.Arg(0), flag.Args()[1:], *count, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ws:", err)
		os.Exit(1)
	}
}

func talk(url string, messages []string, count int, out io.Writer) error {
	conn, resp, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		if resp != nil {
			return fmt.Errorf("%w: %s", err, resp.Status)
		}
		return err
	}
	defer conn.Close()
	for _, m := range messages {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			return err
		}
	}
	for count != 0 {
		_, data, err := conn.ReadMessage()
		var closed *websocket.CloseError
		if count < 0 && errors.As(err, &closed) {
			fmt.Fprintln(os.Stderr, "ws: closed with", closed.Code)
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", data)
		count--
	}
	// An orderly end: say so, and wait until the relay has read all and says so too.
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := conn.WriteMessage(websocket.CloseMessage, bye); err != nil {
		return err
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				return nil
			}
			return err
		}
	}
}
