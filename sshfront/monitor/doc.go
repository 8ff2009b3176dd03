// Package monitor watches topics for silence. A topic to which nobody sends
// anything for a window of time is unhealthy, until somebody does again. Both are
// told to the monitor's owner, and are to be read in a feed.
//
// Monitors are kept in a file, so that they survive a restart. What was sent while
// nobody looked is not known: at a start the windows of healthy topics begin anew,
// and unhealthy ones stay so until something is sent.
//
// Being watched costs a channel one store of a number for each thing sent; nothing
// subscribes, so that no producer believes somebody receives. One goroutine does
// what is due; a timer per monitor, or the sign of life of an unhealthy topic,
// wakes it. What falls due together is written to disk together.
package monitor
