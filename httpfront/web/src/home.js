// The box on the first page: send, receive, broadcast and pipe, at once.

import { $, copyable, el, random, size } from "./dom.js";
import { channelOf, pathOf, quoted } from "./channel.js";
import { Link, open, refused } from "./link.js";
import { refusal } from "./refusal.js";
import { thinned } from "./thin.js";

const shown = 100; // entries of the log
const shownText = 2_000; // characters of a message in it
const taken = 1 << 20; // bytes that are read of one message before its rest is left out

const box = $("box");
const log = $("log");
let link = null;
let waits = new Set(); // requests that wait

copyable();
$("channel").value = "p/try-" + random(6);
box.hidden = false;
refresh();

box.addEventListener("input", refresh);
box.addEventListener("submit", (e) => {
  e.preventDefault();
  act(send);
});
$("receive").onclick = () => act(receive);
$("follow").onclick = () => (link ? leave() : act(follow));
$("stop").onclick = () => {
  for (const w of waits) w.abort();
};

function mode() {
  return box.elements.mode.value;
}

// refresh tells what the box stands for now.
function refresh() {
  let path;
  try {
    path = pathOf(channelOf($("channel").value));
    $("channel").setCustomValidity("");
  } catch (err) {
    $("channel").setCustomValidity(err.message);
    $("channel-url").textContent = err.message;
    return;
  }
  const url = location.origin + path;
  $("channel-url").textContent = url;
  const text = quoted($("message").value);
  const same = {
    queue: [`curl -s ${quoted(url)}`, `curl -s ${quoted(url)} --data-raw ${text}`],
    broadcast: [`curl -s ${quoted(url)}`, `curl -s ${quoted(url + "?pubsub=true")} --data-raw ${text}`],
    pipe: [`websocat ${quoted(url.replace("http", "ws"))}`],
  };
  $("same").textContent = same[mode()].join("\n");
  $("mode-hint").textContent = {
    queue: "The first who receives gets it; “Send” waits for that.",
    broadcast: "Whoever is there gets it, and nobody is waited for.",
    pipe: "“Watch” opens the pipe; what you send goes through it.",
  }[mode()];
}

function act(what) {
  if (box.reportValidity()) what(channelOf($("channel").value)).catch((err) => say("failed", err.message));
}

async function send(channel) {
  const text = $("message").value;
  if (mode() === "pipe" && link === null) await follow(channel);
  if (mode() === "pipe") {
    if (link?.send(text)) say("sent", "through the pipe", text);
    else say("failed", "The pipe is not open yet. Send it again in a moment.");
    return;
  }
  const broadcast = mode() === "broadcast";
  const entry = say("sending", broadcast ? "to everybody" : "waiting for a receiver…", text);
  await request(entry, async (signal) => {
    const answer = await fetch(pathOf(channel) + (broadcast ? "?pubsub=true" : ""), { method: "POST", body: text, signal, headers: { "Content-Type": "text/plain; charset=utf-8" } });
    if (!answer.ok) throw new Error(await refusal(answer));
    const n = Number(answer.headers.get("Patch-Delivered"));
    entry.become("sent", broadcast ? (n === 0 ? "nobody was there" : `to ${n === 1 ? "1 receiver" : n + " receivers"}`) : "received by the other side");
  });
}

async function receive(channel) {
  const entry = say("receiving", "waiting for a message…");
  await request(entry, async (signal) => {
    const answer = await fetch(pathOf(channel), { signal, cache: "no-store" });
    if (!answer.ok) throw new Error(await refusal(answer));
    const { text, bytes, more } = await beginning(answer.body);
    entry.become("received", size(bytes) + (more ? " and more, which was left out; use curl for long messages" : ""), text);
  });
}

// request shows what becomes of a request that may wait.
async function request(entry, what) {
  const stop = new AbortController();
  waits.add(stop);
  $("stop").hidden = false;
  try {
    await what(stop.signal);
  } catch (err) {
    entry.become("failed", stop.signal.aborted ? "stopped" : err.message);
  } finally {
    waits.delete(stop);
    $("stop").hidden = waits.size === 0;
  }
}

// beginning reads what can be shown of a message.
async function beginning(body) {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), bytes, more: false };
    bytes += value.length;
    if (text.length <= shownText) text += decoder.decode(value, { stream: true });
    if (bytes > taken) {
      reader.cancel().catch(() => {});
      return { text, bytes, more: true };
    }
  }
}

async function follow(channel) {
  $("follow").setAttribute("aria-pressed", "true");
  $("follow").textContent = "Stop watching";
  await new Promise((ready) => {
    link = new Link({
      channel,
      onMessage: later,
      onState: (state, text) => {
        say(state === open ? "watching" : state === refused ? "failed" : "waiting", text);
        if (state === refused) leave();
        if (state === open || state === refused) ready();
      },
    });
  });
}

function leave() {
  link?.close();
  link = null;
  $("follow").setAttribute("aria-pressed", "false");
  $("follow").textContent = "Watch";
}

// Messages that come faster than anybody reads are shown once a frame, the last
// ones of them.
let coming = [];
let missed = 0;

function later(message) {
  if (coming.length === 0) requestAnimationFrame(showComing);
  coming.push(message);
  if (coming.length > shown) {
    coming.shift();
    missed++;
  }
}

function showComing() {
  const all = coming;
  coming = [];
  if (missed > 0) say("left out", `${missed} messages came faster than they can be shown`);
  missed = 0;
  for (const m of all) {
    const text = typeof m.data === "string" ? m.data : new TextDecoder().decode(m.data.subarray(0, shownText));
    say("received", size(m.data.length), text);
  }
}

// say adds an entry to the log; its become changes it.
function say(kind, about, text) {
  const label = el("b");
  const more = el("span", { className: "about" });
  const body = el("pre");
  const entry = el("div", { className: "entry" }, el("p", {}, label, " ", more), body);
  const become = (kind, about, text) => {
    entry.dataset.kind = kind.replace(" ", "-");
    label.textContent = kind;
    more.textContent = about;
    if (text !== undefined) body.textContent = thinned(text.slice(0, shownText)) + (text.length > shownText ? "…" : "");
    body.hidden = body.textContent === "";
  };
  become(kind, about, text ?? "");
  log.querySelector(".empty")?.remove();
  const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
  log.append(entry);
  while (log.childElementCount > shown) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
  return { become };
}
