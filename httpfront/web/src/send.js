// Sending a file: one message, whole, to one receiver.

import { credentials, pathOf } from "./channel.js";
import { worded } from "./refusal.js";

// post offers a body to a channel until somebody has received it, and returns then.
// A receiver that went away in the middle, or a relay that does, is waited for.
// onProgress hears (bytes, size), onState a line. signal ends it.
export async function post({ channel, secret, headers, body, signal, onProgress, onState }) {
  for (let wait = 500; ; wait = Math.min(10_000, 2 * wait)) {
    onState("Offered. It goes out as soon as somebody receives it; keep this page open.");
    const { status, text } = await request({ channel, secret, headers, body, signal, onProgress });
    signal.throwIfAborted();
    if (status === 200) return;
    if (![0, 408, 429, 502, 503, 504].includes(status)) throw new Error(text);
    onState(status === 502 ? "The receiver went away before it had all. Offering it again…" : "The relay does not answer. Trying again…");
    await new Promise((done) => {
      const timer = setTimeout(done, wait);
      signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
    });
    signal.throwIfAborted();
  }
}

// request is one try. fetch does not tell how far it is with a body; this does.
function request({ channel, secret, headers, body, signal, onProgress }) {
  return new Promise((done) => {
    const r = new XMLHttpRequest();
    r.open("POST", pathOf(channel));
    for (const [name, value] of Object.entries({ ...credentials(secret), ...headers })) r.setRequestHeader(name, value);
    r.upload.onprogress = (e) => onProgress(e.loaded, e.total);
    r.onloadend = () => done({ status: r.status, text: worded(r.status, r.getResponseHeader("Content-Type") ?? "", r.responseText) });
    signal.addEventListener("abort", () => r.abort(), { once: true });
    r.send(body);
  });
}
