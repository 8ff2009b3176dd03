// Package httpfront speaks every URL of the relay: it turns requests into calls
// of the broker and streams what comes back.
//
// A request walks through it like this: ServeHTTP finds the route (route.go),
// parses the channel's name, understands what the request does (action.go),
// checks limits and rights, and calls one handler: send, publish, receive,
// follow, pipe, ask, answer. Handlers return errors; status (errors.go) makes
// them one line and a status code. After the first byte of a message a failure
// is a broken connection, so that no client takes a part for the whole.
package httpfront
