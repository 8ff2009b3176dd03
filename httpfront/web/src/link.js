// A Link follows a channel and sends to it, by whatever way is open: a WebSocket;
// where that is blocked, server-sent events; where a proxy holds those back,
// polling. It makes the connection anew when it breaks, until it is closed.

import { random } from "./dom.js";
import { credentials, isCall, pathOf } from "./channel.js";
import { refusal } from "./refusal.js";
import { eventData, lines, messageOf } from "./events.js";

const patience = 6_000; // ms for the first sign of life of a connection
const silence = 45_000; // ms without any, three heartbeats, after which it is dead
const sleepCheck = 15_000; // ms between looks at the clock
const slept = 150_000; // ms between two of them that only sleep explains: a hidden page gets one a minute
const unsentLimit = 1 << 20; // of what may wait to be posted, in characters

// A window is one poll. Beside a short one begins a long one, which stays with a message
// that it has the beginning of until its end. The short ones overlap by themselves, so
// that no message falls between two, nor waits for the end of a window that stays for
// another. Only so many are long at a time: browsers have six connections to a host,
// and when they are all taken nothing overlaps any more.
const windowSeconds = 4;
const windowEvery = 3_000;
const longSeconds = 20; // with windowSeconds less than the half minute that proxies wait for an answer
const longWindows = 2;
const leftMost = 16; // parts that a window keeps of a message which it has left to another one
const remembered = 4096; // messages that are known again in a second window

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
  #seen = new Map(); // id of a message to the window that shows it
  #windows = 0; // that were opened
  #hurry = false; // the next are to begin at once
  #noLong = false; // something in between ends long windows before their time

  // channel is as channelOf returns it. socket says whether a WebSocket may be
  // tried: it cannot carry a secret. replay: hear oneself. onMessage gets {data:
  // string or Uint8Array} and, but for WebSockets, what messageOf returns;
  // onState (state, text); onGreeting the line in which the relay says what a
  // WebSocket is connected to.
  constructor({ channel, secret = "", socket = true, replay = false, binary = false, access = "", onMessage, onState, onGreeting }) {
    this.#o = { channel, secret, replay, binary, access, onMessage, onState, onGreeting };
    this.#ways = socket ? ["socket", "events", "polling"] : ["events", "polling"];
    window.addEventListener("online", () => this.#anew(), { signal: this.#stop.signal });
    this.#watchTheClock();
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

  // watchTheClock makes the connection anew after the machine, or the page, has slept.
  // Nothing else tells of a WebSocket whose other end is gone: the relay's pings
  // are not shown to scripts.
  #watchTheClock() {
    let last = Date.now();
    const look = () => {
      const now = Date.now();
      if (now - last > slept) this.#anew();
      last = now;
    };
    const timer = setInterval(look, sleepCheck);
    document.addEventListener("visibilitychange", look, { signal: this.#stop.signal });
    this.#stop.signal.addEventListener("abort", () => clearInterval(timer));
  }

  // anew makes the connection anew, whether or not it looks open. Polls are new
  // ones anyway, and those under way may still bring something.
  #anew() {
    if (this.#ways[0] !== "polling") this.#attempt?.abort();
    this.#wake();
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
      const over = () => {
        clearTimeout(timer);
        this.#socket = null;
        done(greeted);
      };
      signal.addEventListener("abort", () => {
        ws.onmessage = ws.onclose = null; // a peer that is gone does not answer the close for long
        ws.close();
        over();
      });
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
      ws.onclose = over;
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

  // A poll that fails ends no other: what they bring, the relay has handed over. The
  // first that fails is made up for at once, while the ones before it are open; when
  // that fails too, or the answer says to wait, no more are made.
  async polling(signal) {
    const windows = new Map(); // those that are open, the oldest first, to the promise of their end
    let opened = false;
    let end = null; // why no more are made
    let failures = 0; // since a poll went well
    const begin = (long) => {
      const self = { number: ++this.#windows, long, begun: Date.now(), over: Infinity };
      const ending = this.#window(signal, self, windows).catch(() => ({})).then((trouble) => {
        windows.delete(self);
        if (trouble === null) {
          if (!opened && end === null) this.#opened("polling");
          opened = true;
          failures = 0;
          return;
        }
        failures++;
        if (long && !signal.aborted && Date.now() - self.begun > 2000 * windowSeconds + 1000) this.#noLong = true;
        if (failures > 1 || trouble.refused || trouble.after > 0) end = trouble;
        this.#another();
      });
      windows.set(self, ending);
    };
    while (!signal.aborted && end === null) {
      if (!this.#noLong && [...windows.keys()].filter((w) => w.long).length < longWindows) begin(true);
      begin(false);
      if (!this.#hurry) await this.#pause(windowEvery);
      this.#hurry = false;
    }
    await Promise.all(windows.values());
    return { ...end, opened };
  }

  // another has windows begin at once.
  #another() {
    this.#hurry = true;
    this.#wake();
  }

  // window makes one poll, self. It returns null, or what is to be done about the
  // answer. self.over is the number of the last window that opened before self ended.
  async #window(signal, self, windows) {
    const unfinished = new Map(); // what it shows and has not seen the end of, by id
    const left = new Map(); // parts that it has left to another window, which may end without them, by id
    const answer = await fetch(pathOf(this.#o.channel) + `?json=true&for=${windowSeconds}s` + (self.long ? `&rest=${longSeconds}s` : ""), {
      headers: { ...credentials(this.#o.secret), Accept: "application/x-ndjson" },
      cache: "no-store",
      signal: AbortSignal.any([signal, AbortSignal.timeout(silence)]),
    });
    if (!answer.ok) return judge(answer);
    try {
      for await (const line of lines(answer.body)) {
        if (line === "") continue;
        let m = messageOf(line);
        const before = this.#seen.get(m.id);
        if (before !== self) {
          if (self.number <= before?.over) continue; // another one shows it
          if (before === undefined && this.#leaves(m, self, windows)) {
            const parts = left.get(m.id);
            if (m.late) continue;
            if (parts === undefined) left.set(m.id, [m]);
            else if (parts?.length < leftMost) parts.push(m);
            else left.set(m.id, null); // too many to be kept
            continue;
          }
          this.#seen.set(m.id, self);
          const parts = before === undefined ? left.get(m.id) : undefined;
          if (parts === null) m = { ...m, late: true };
          else parts?.forEach((part) => this.#deliver(part));
        }
        left.delete(m.id);
        if (this.#seen.size > remembered) this.#seen.delete(this.#seen.keys().next().value);
        if (m.end) unfinished.delete(m.id);
        else unfinished.set(m.id, m);
        this.#deliver(m);
      }
      return null;
    } finally {
      // Parts do not say where in a message they stand, and each window cuts its own.
      // So another that is open cannot go on with these; one that opens from now on has
      // nothing of what was shown, and can show what comes next.
      self.over = this.#windows;
      for (const m of unfinished.values()) {
        if (!signal.aborted) this.#deliver({ ...m, data: "", end: true, cut: true });
      }
      if (unfinished.size > 0) this.#another();
    }
  }

  // leaves tells whether a window leaves a message that it is the first to bring to
  // another one: because that has its beginning, or may stay until its end.
  #leaves(m, self, windows) {
    if (m.late) return windows.keys().next().value !== self;
    const whole = m.part === 0 || (m.part === 1 && m.end);
    return !whole && !self.long && [...windows.keys()].some((w) => w.long && w.number < self.number);
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
