// Package acl decides what a token or an SSH key may do. Each user has one
// config.yaml that says so; it is read from a forge or from a folder, kept for a
// while, and asked at both doors in the same way.
//
//   - [Decode] makes a [Document] of a config.yaml, strictly: what it does not
//     understand it refuses, with line and column.
//   - A [Source] is where the files are: [Forgejo] or [Dir].
//   - A [Store] reads users' files through a Source and keeps them.
//     [Store.Token] and [Store.Key] say who is asking: a [Principal].
//   - [Principal.Check] says whether they may do an [Action]. It looks at the
//     rules of this moment, so whoever lives long may ask again.
//
// # Promises
//
//  1. What is not allowed is forbidden. A file, a line, a date or a pattern that
//     is not understood never allows anything.
//  2. A `!` pattern forbids whatever else allows.
//  3. At most one read of one thing is under way, however many wait for it. Each
//     of them waits no longer than its own context.
//  4. While the source cannot be read, its last answer serves on, for MaxStale at
//     most; then the answer is [ErrUnavailable]. A file with a mistake never
//     takes the place of a good one.
//  5. Tokens are compared by their SHA-256. No token, hash, key or secret is in
//     an error, a log line or an encoded document, but for the digests that stand
//     in an encoded document for the tokens and keys themselves.
//  6. A name that is not a user's never reaches a source. The namespaces of
//     unknown keys (`key-…`) belong to those keys, even if somebody takes such
//     a name on the forge.
//
// Names are given as text, namespace first ("alice/projects/web"), and are
// expected to be valid names of the relay; the rules see what stands behind the
// namespace.
package acl
