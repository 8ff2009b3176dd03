// Package sshfront is the relay's SSH door: pub, sub, pipe, ls, token, the
// monitors and help over channels of [patchwork/broker], and forwarded connections:
// out to targets (ssh -W, -L, -J; forward.go) and in to what clients publish under
// prefixes of the other door (ssh -R; publish.go, visit.go).
//
// The way in: [Server.Serve] accepts a connection and holds it against the
// limits (limits.go); the SSH library shakes hands; the key that proved itself is
// the identity (identity.go); each session gets a context of its own
// (session.go), its command line is split into words (words.go) and looked up in
// the table of commands (command.go), whose functions return an error that
// exit.go turns into an exit status and one plain line on stderr.
//
// # What a session promises
//
//   - Data goes to stdout, everything said about it to stderr.
//   - Exit status 0 is done, 1 refused or timed out, 2 wrong usage, 75 the relay is
//     going down (try again), 130 the user interrupted it at a terminal.
//   - Whatever waits ends by its event, by the end of its session or by the
//     broker's closing; nothing polls, and every goroutine is joined before its
//     session counts as ended.
//   - The end of a client's stdin counts only if the client is still there to say
//     so: a publisher that was killed has not ended its message, it has cut it.
//   - With exit status 0 of pub, some subscriber took all of the message.
package sshfront
