// Package broker brings producers and consumers of named channels together, in
// order, bounded, in memory. It knows nothing of HTTP or SSH.
//
// There are two ways to send and two ways to receive on one table of channels:
//
//   - [Broker.Send] (queue) offers one message; one receiver takes it whole.
//   - [Broker.Publish] (broadcast) opens a [Publisher]; each chunk it writes goes
//     to every subscription and to every [Broker.Receive] that waited when the
//     message began.
//   - [Broker.Receive] takes one message, of either sort.
//   - [Broker.Subscribe] takes all of them, by name or by pattern.
//   - [Broker.Request] is a Send that carries its own way back; [Broker.Answer]
//     answers it.
//
// # Invariants
//
//  1. A channel exists exactly while somebody holds it. After all clients are
//     gone the gauges of [Stats] are zero.
//  2. Matching is first come, first served on both sides. Cancelling a waiter is
//     O(1) and never loses a message.
//  3. Whoever waits is woken by the event, by its context or by [Broker.Close].
//     Nothing polls.
//  4. The broker starts no goroutines and never writes to a client: a message is
//     read in the goroutine that sends it and written in the goroutine that
//     receives it. The one callback it makes from a goroutine that is not the
//     caller's own is named where it is registered, and must not block.
//  5. Memory is bounded: per queue message in flight (the replay buffer and two
//     chunks), per subscription (its mailbox, in bytes; what a publisher keeps
//     for the next receiver has been in one), never by message size. A
//     fan-out shares one copy of a chunk among all receivers.
//  6. No lock is held while anything can block.
//  7. A receiver that is full holds a waiting publisher back, costs a publisher
//     that does not wait that chunk, and is ended with [ErrSlow] after its stall
//     limit. All three are counted.
//  8. Send reports success only after the receiver has said, with Done(nil) or by
//     asking a subscription for more, that it wrote the last byte.
package broker
