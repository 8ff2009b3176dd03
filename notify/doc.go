// Package notify sends one message to the services a user has configured:
// Matrix, Discord, Slack, Telegram, ntfy, Gotify, a webhook, mail, and the long
// tail of services by the URL form of the shoutrrr library.
//
// What comes in is parsed at the edge: [ParseRequest] makes a [Message] of an
// HTTP request, [Decode] makes a [Config] of the `ntfy` key of a user's
// config.yaml. [Sender.Send] brings the two together, and [Reply] says what the
// client hears.
//
// # Promises
//
//  1. Each target has a queue of its own, in order, bounded, and one deadline
//     ([Budget]) for waiting, sending and sending again. A target that hangs
//     costs the others nothing but the wait for the common answer.
//  2. 429 and 5xx are tried again with back-off, never sooner than Retry-After
//     asks and never beyond the deadline. Everything else is final: a request
//     that got no answer may have arrived, so only one that cannot arrive twice
//     (Matrix, by its transaction id) is repeated.
//  3. Every connection is made by [Options].DialContext, which holds the egress
//     policy. No proxy of the environment is used, no redirect is followed, no
//     more than 64 KiB of an answer is read.
//  4. HTML that reaches a service was sanitised here, whether it came as HTML or
//     was rendered from markdown.
//  5. A text that a service would refuse for its length is cut between two
//     characters as a reader sees them, ends with "…", and the [Outcome] says so.
//  6. No error, log line or YAML that leaves this package holds a secret of the
//     configuration, or the user information or query of a URL.
//  7. A Sender starts no goroutine that outlives the call to Send, and keeps
//     nothing for a target that nobody uses but the Matrix direct rooms found.
//
// A service is one file with its fields, its checks and its way to deliver, and
// one line in the table in backends.go.
package notify
