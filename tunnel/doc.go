// Package tunnel joins byte streams: outward to TCP, inward from reverse tunnels.
// It knows no users and no routes; the fronts bring those.
//
// Outward:
//
//   - A [Dialer] connects to what others name, under an egress [Policy].
//   - [Join] copies both ways with half-close.
//   - [Upgrade] and [ServeWebSocket] are the server of huproxy, [HuproxyClient]
//     its client.
//
// Inward:
//
//   - A [Registry] holds the prefixes that are published now. What stands behind a
//     prefix is an [Opener], whoever made it.
//   - [SendIt] makes Openers of clients that come by HTTP (SendIt v1); [Expose] is
//     such a client.
//   - A [Proxy] passes requests for /PREFIX/… to the prefix's Opener.
//
// [Status] turns the errors of all of them into an HTTP status; their texts are
// one plain line for whoever asked.
//
// # Promises
//
//  1. An address is judged when it is connected to, after resolving: no name, no
//     spelling and no wrapping of an address passes the policy.
//  2. No byte is lost that came before an end. Over HTTP and WebSockets a cut is
//     never shown as an end: whoever was to receive more sees a broken stream.
//  3. Replacing a SendIt stream's requests loses, repeats and reorders nothing,
//     whatever is on its way.
//  4. A prefix is held by one session. A client that is cut off frees it at once,
//     one that falls silent within 15 s. Only its own identity takes it over.
//  5. What is published behind a prefix cannot shadow a reserved path, nor speak
//     for paths outside the prefix by what it answers.
//  6. Whoever starts a goroutine here waits for it: after Join, ServeWebSocket,
//     Expose and SendIt.Close nothing of them is left. The one exception is a read
//     of standard input that cannot be interrupted.
//  7. Memory is bounded: two buffers of 256 KiB a join; 256 KiB a session and
//     yamux's window of 4 MiB a stream and direction at most, for 512 streams.
//     Where it is full, the sender waits.
//  8. No token is in an error or a log line.
package tunnel
