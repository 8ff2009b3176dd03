// A Link follows a channel and sends to it, by whatever way is open: a WebSocket;
// where that is blocked, server-sent events; where a proxy holds those back,
// polling. It makes the connection anew when it breaks, until it is closed.

import { random } from "./dom.js";
import { credentials, isCall, pathOf } from "./channel.js";
import { refusal } from "./refusal.js";
import { eventData, lines, messageOf } from "./events.js";

const patience = 6_000; // ms for the first sign of life of a connection
const silence = 45_000; // ms without any, three heartbeats, after which it is dead
const unsentLimit = 1 << 20; // of what may wait to be posted, in characters

// A window is one poll. They overlap, so that no message falls between two.
const windowSeconds = 3;
const windowEvery = 2_000;

const names = { socket: "WebSocket", events: "server-sent events", polling: "polling" };

// The states that onState hears of.
export const connecting = "connecting";
export const open = "open";
export const waiting = "waiting"; // to try again
export const refused = "refused"; // for good; the text says why
export const closed = "closed";

export class Link {
  #o;
  #ways;
  #stop = new AbortController();
  #attempt = null; // ends what is under way
  #socket = null; // while it is open
  #me = random(20);
  #posts = Promise.resolve();
  #unsent = 0;
  #wake = () => {};

  // channel is as channelOf returns it. socket says whether a WebSocket may be
  // tried: it cannot carry a secret. replay: hear oneself. onMessage gets {data:
  // string or Uint8Array} and, but for WebSockets, what messageOf returns;
  // onState (state, text); onGreeting the line in which the relay says what a
  // WebSocket is connected to.
  constructor({ channel, secret = "", socket = true, replay = false, binary = false, access = "", onMessage, onState, onGreeting }) {
    this.#o = { channel, secret, replay, binary, access, onMessage, onState, onGreeting };
    this.#ways = socket ? ["socket", "events", "polling"] : ["events", "polling"];
    window.addEventListener("online", () => this.#wake(), { signal: this.#stop.signal });
    this.#run();
  }

  close() {
    this.#stop.abort();
    this.#attempt?.abort();
    this.#wake();
  }

  // send sends text or bytes. It returns false when that cannot be: there is no
  // connection, or too much waits already.
  send(data) {
    if (this.#stop.signal.aborted) return false;
    if (this.#ways[0] === "socket") {
      if (this.#socket === null || this.#socket.bufferedAmount > unsentLimit) return false;
      this.#socket.send(data);
      return true;
    }
    if (this.#unsent > unsentLimit) return false;
    this.#unsent += data.length;
    this.#posts = this.#posts.then(() => this.#post(data)).finally(() => (this.#unsent -= data.length));
    return true;
  }

  async #post(data) {
    try {
      const answer = await fetch(pathOf(this.#o.channel) + "?pubsub=true", {
        method: "POST",
        headers: { ...credentials(this.#o.secret), "Content-Type": "text/plain; charset=utf-8", "Patch-H-Patchwork-From": this.#me },
        body: data,
        signal: this.#stop.signal,
      });
      if (!answer.ok) throw new Error(await refusal(answer));
    } catch (err) {
      if (!this.#stop.signal.aborted) this.#say(open, "Something was not sent: " + err.message);
    }
  }

  #say(state, text) {
    this.#o.onState(state, text);
  }

  async #run() {
    let failures = 0;
    await null; // whoever made the link is to have it before the first word
    if (isCall(this.#o.channel)) {
      this.#stop.abort();
      this.#say(refused, "A request/response channel cannot be watched: it would take requests, or make them.");
      return;
    }
    this.#say(connecting, "Connecting…");
    while (!this.#stop.signal.aborted) {
      this.#attempt = new AbortController();
      const way = this.#ways[0];
      const end = await this[way](this.#attempt.signal);
      if (this.#stop.signal.aborted) break;
      if (end.refused) {
        this.#stop.abort();
        this.#say(refused, end.refused);
        return;
      }
      if (end.blocked && this.#ways.length > 1) {
        this.#ways.shift();
        this.#say(connecting, `The ${names[way]} does not get through. Trying ${names[this.#ways[0]]}…`);
        continue;
      }
      failures = end.opened ? 0 : failures + 1;
      if (failures < 2) this.#say(waiting, end.opened ? "The connection broke. Connecting again…" : "The relay does not answer. Trying again…");
      await this.#pause(Math.max(end.after ?? 0, Math.min(15_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2)));
    }
    this.#say(closed, "Closed.");
  }

  // pause waits so many ms, or until the network is back.
  #pause(ms) {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  #opened(way) {
    const how = {
      socket: "Connected.",
      events: this.#o.secret || !this.#tried ? "Connected." : "Connected by server-sent events: something in between does not let WebSockets through.",
      polling: `Connected by polling: something in between holds streams back. Messages come up to ${windowSeconds} seconds late.`,
    };
    this.#say(open, how[way]);
  }

  #tried = false; // a WebSocket, in vain

  async socket(signal) {
    this.#tried = true;
    const query = new URLSearchParams({ status: "true" });
    if (this.#o.replay) query.set("replay", "true");
    if (this.#o.binary) query.set("binary", "true");
    if (this.#o.access) query.set("access", this.#o.access);
    const url = new URL(pathOf(this.#o.channel) + "?" + query, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const opened = await new Promise((done) => {
      const ws = new WebSocket(url);
      ws.binaryType = "arraybuffer";
      let greeted = false;
      const timer = setTimeout(() => ws.close(), patience);
      signal.addEventListener("abort", () => ws.close());
      ws.onmessage = ({ data }) => {
        if (greeted) {
          this.#o.onMessage({ data: typeof data === "string" ? data : new Uint8Array(data) });
          return;
        }
        greeted = true;
        clearTimeout(timer);
        this.#socket = ws;
        this.#opened("socket");
        this.#o.onGreeting?.(data);
      };
      ws.onclose = () => {
        clearTimeout(timer);
        this.#socket = null;
        done(greeted);
      };
    });
    if (opened || signal.aborted) return { opened };
    return this.#look(signal);
  }

  // look finds out why a WebSocket did not open: browsers do not say.
  async #look(signal) {
    try {
      const answer = await fetch(pathOf(this.#o.channel), { method: "HEAD", headers: credentials(this.#o.secret), signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]) });
      if (answer.ok) return { blocked: true };
      return judge(answer);
    } catch {
      return {};
    }
  }

  async events(signal) {
    const dead = new AbortController();
    let timer = setTimeout(() => dead.abort(), patience);
    let opened = false;
    let answered = false;
    let beats = 0;
    try {
      const answer = await fetch(pathOf(this.#o.channel) + "?json=true", {
        headers: { ...credentials(this.#o.secret), Accept: "text/event-stream" },
        cache: "no-store",
        signal: AbortSignal.any([signal, dead.signal]),
      });
      answered = true;
      if (!answer.ok) return await judge(answer);
      if (!(answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) return { blocked: true };
      for await (const data of eventData(answer.body)) {
        clearTimeout(timer);
        if (data === null) beats++;
        if (beats > 1) timer = setTimeout(() => dead.abort(), silence); // the first says only that it is open
        if (!opened) this.#opened("events");
        opened = true;
        if (data !== null) this.#deliver(messageOf(data));
      }
    } catch {
      // It ended, whatever the reason.
    } finally {
      clearTimeout(timer);
    }
    // Dead before the first sign of life, while the relay answers: held back.
    if (!opened && dead.signal.aborted) return answered ? { blocked: true } : this.#look(signal);
    return { opened };
  }

  async polling(signal) {
    const seen = new Map(); // id of a message to the window that shows it
    let opened = false;
    let end = null;
    const over = new AbortController();
    const one = async (self) => {
      const answer = await fetch(pathOf(this.#o.channel) + `?json=true&for=${windowSeconds}s`, {
        headers: { ...credentials(this.#o.secret), Accept: "application/x-ndjson" },
        cache: "no-store",
        signal: AbortSignal.any([signal, over.signal, AbortSignal.timeout(silence)]),
      });
      if (!answer.ok) {
        end = await judge(answer);
        over.abort();
        return;
      }
      for await (const line of lines(answer.body)) {
        if (line === "") continue;
        const m = messageOf(line);
        if (!seen.has(m.id)) seen.set(m.id, self);
        if (seen.get(m.id) === self) this.#deliver(m);
        if (seen.size > 4096) seen.delete(seen.keys().next().value);
      }
      if (!opened && !over.signal.aborted) this.#opened("polling");
      opened = true;
    };
    const windows = new Set();
    const ended = new Promise((done) => over.signal.addEventListener("abort", done, { once: true }));
    while (!signal.aborted && !over.signal.aborted) {
      const self = one({}).catch(() => over.abort());
      windows.add(self);
      self.finally(() => windows.delete(self));
      await Promise.race([this.#pause(windowEvery), ended]);
    }
    await Promise.all(windows);
    return { ...end, opened };
  }

  #deliver(message) {
    if (!this.#o.replay && message.headers["Patchwork-From"]?.[0] === this.#me) return;
    this.#o.onMessage(message);
  }
}

// judge tells what an answer other than 200 means: try again, or give up.
async function judge(answer) {
  const again = [408, 429, 500, 502, 503, 504].includes(answer.status);
  if (again) return { after: 1000 * (Number(answer.headers.get("Retry-After")) || 0) };
  return { refused: await refusal(answer) };
}
