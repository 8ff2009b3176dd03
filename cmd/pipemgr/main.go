// Command pipemgr follows the logs of Docker containers that ask for it with a
// label, and sends their lines to a topic of a Patchwork relay, as
//
//	ssh RELAY pub container-drain -b=false
//
// would. It is a client like any other: it knows the relay by SSH alone.
//
// # From the container to the topic
//
//	Docker's log API → tail (reads, filters) → queue → link (SSH) → relay
//
// A container is never held back: what it writes goes to Docker's own log, and
// pipemgr reads that log at its own pace. How far it has come is a [cursor], the
// times Docker gave to the entries read last; with it a log is read on after a
// broken connection, a restart of the container or of Docker, with no line
// missing and none twice.
//
// # What is kept while the relay is slow or away
//
// The queue holds lines up to a number of bytes. When it is full, logs that are
// files on the machine (the drivers json-file, local and journald) are not read
// any further until there is room: they are the better buffer. What Docker
// rotates away meanwhile is lost, and cannot be counted. Of other logs, and of
// all with --when-full drop, the oldest unsent lines make room for new ones; they
// are counted, logged and told by /health.
//
// # What was received
//
// A Patchwork relay is asked, with the channel request published@patchwork, how much
// of what was sent its pub has published: handed to everybody who subscribes. Only then
// lines are forgotten. So:
//
//   - When the connection breaks, no line is lost. What was not confirmed is sent
//     again, and so may be published twice: little more than [inFlight] bytes at most.
//     The line that was cut in its middle may be there as a piece, without its end.
//   - When the relay dies, it takes along what its subscribers had not read yet: each
//     has a mailbox there (1 MiB by default).
//   - 'pub -b=false' passes over subscribers that are too slow, and with nobody there
//     it publishes to nobody. 'pub container-drain' waits for a subscriber, and
//     for slow ones; then the queue waits, and then the logs do.
//   - Other relays answer no to that question, but do so after they have taken in what
//     was sent before (RFC 4254, section 5.4, and the order of a channel). There a
//     broken connection may cost what the relay had taken in and not published yet.
//   - On SIGTERM what is held is sent within --flush-timeout, and the relay's exit
//     status confirms it. What is left then, and what was not confirmed when
//     pipemgr was killed, is read again at the next start, as far as the state file
//     tells: it is written once a second.
package main

import (
	"os"

	"patchwork/cmd/interrupt"
)

func main() {
	os.Exit(run(interrupt.Context("pipemgr", exitFailed), os.Args, os.Stdout, os.Stderr))
}
