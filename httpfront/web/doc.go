// Package web holds the pages of the relay: /, /terminal, /inspect, /drop and the
// manual at /docs. It knows templates and files, and nothing of channels; what the
// pages do, their scripts do in the browser, with the same requests that curl
// would make.
//
// Its promises:
//
//  1. A page runs only the scripts and the styles that came with it. What is
//     published on channels has the same origin, so "from this site" is not enough:
//     every page names its scripts by a nonce of its own (W3C, Content Security
//     Policy Level 3), and trusted types keep text from becoming markup.
//  2. No page makes a request to anybody but this relay, or keeps anything in the
//     browser: no cookies, no storage.
//  3. A page tells what it is for without scripts.
//
// The scripts in assets are built from src by 'make web', and kept with the
// sources so that the relay builds without Node. A test compares the two.
package web
