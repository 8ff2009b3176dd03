// Watches a channel: each message with its time, method, headers and body. What is
// kept is bounded, and so is what is drawn; what was left out is counted.

import { $, copyButton, copyable, el, save, size } from "./dom.js";
import { channelOf, pathOf } from "./channel.js";
import { Link, closed, open, refused } from "./link.js";
import { noSecret, refusal } from "./refusal.js";
import { asCurl } from "./curl.js";
import { joined, shownBody } from "./body.js";
import { thinned } from "./thin.js";

const kept = 100; // messages
const keptEach = 1 << 20; // bytes of one message
const keptAll = 8 << 20; // bytes of all of them
const aFrame = 20; // messages that are drawn in one frame

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

let link = null;
let watched = ""; // path of the channel
let entries = []; // newest last
let unfinished = new Map(); // those whose end has not come, by id
let undrawn = new Set();
let drawing = false;
let paused = false;
let held = 0; // bytes
let total = 0; // messages since the beginning
let gone = 0; // of them, those that are not kept any more
let missed = 0; // of them, those that were never drawn
let stale = []; // what is still shown of messages that are not kept, while paused

copyable();
$("watch").hidden = false;
$("channel").value = channelInAddress();
$("channel").oninput = () => $("channel").setCustomValidity("");
$("watch").onsubmit = (e) => {
  e.preventDefault();
  if (link) leave();
  else watch();
};
$("make").onclick = () => make().catch((err) => state("failed", err.message));
$("pause").onclick = () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  if (paused) return;
  for (const node of stale) node.remove();
  stale = [];
  draw();
};
$("clear").onclick = clear;
count();

function clear() {
  entries = [];
  unfinished = new Map();
  undrawn = new Set();
  stale = [];
  held = total = gone = missed = 0;
  $("messages").replaceChildren();
  count();
}

// channelInAddress is what stands behind /inspect/.
function channelInAddress() {
  const rest = location.pathname.replace(/^\/inspect\/?/, "");
  try {
    return decodeURIComponent(rest);
  } catch {
    return rest;
  }
}

function state(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
}

// make makes a webhook that only this page can read, and watches it.
async function make() {
  if (link) leave();
  const answer = await fetch("/r", { cache: "no-store" });
  if (!answer.ok) throw new Error(await refusal(answer));
  const { channel, secret } = await answer.json();
  clear(); // what is there came by another channel
  $("channel").value = "r/" + channel;
  $("secret").value = secret;
  $("hook").hidden = false;
  $("hook-send").textContent = `curl -s ${location.origin}/r/${channel} -d '{"hello":"world"}'`;
  $("hook-secret").textContent = secret;
  watch();
}

function watch() {
  let channel;
  try {
    channel = channelOf($("channel").value);
  } catch (err) {
    $("channel").setCustomValidity(err.message);
    $("watch").reportValidity();
    return;
  }
  watched = pathOf(channel);
  history.replaceState(null, "", "/inspect" + watched); // the secret is no part of it
  for (const input of [$("channel"), $("secret")]) input.disabled = true;
  $("go").textContent = "Stop";
  $("pause").hidden = $("clear").hidden = false;
  link = new Link({
    channel,
    secret: $("secret").value.trim(),
    socket: false, // it shows no headers, and cannot carry the secret
    onMessage: take,
    onState: (name, text) => {
      if (link === null) return;
      state(name, name === open && !text.includes("polling") ? "Watching. What is sent now appears here." : text === noSecret ? noSecret + " Type it into its field." : text);
      if (name === open && unfinished.size > 0) cutAll();
      if (name === refused || name === closed) leave();
      if (name === refused) $("secret").focus();
    },
  });
}

function leave() {
  const old = link;
  link = null;
  old?.close();
  for (const input of [$("channel"), $("secret")]) input.disabled = false;
  $("go").textContent = "Watch";
  if ($("state").dataset.state !== refused) state(closed, "Not watching any more.");
}

// take keeps a message, or another part of one.
function take(m) {
  let entry = unfinished.get(m.id);
  if (entry === undefined) {
    entry = { ...m, path: watched, late: m.late || m.part > 1, chunks: [], length: 0, kept: 0, node: null };
    entries.push(entry);
    total++;
    if (!m.end) unfinished.set(m.id, entry);
  }
  const bytes = typeof m.data === "string" ? new TextEncoder().encode(m.data) : m.data;
  entry.length += bytes.length;
  const part = bytes.subarray(0, Math.max(0, keptEach - entry.kept));
  if (part.length > 0) entry.chunks.push(part);
  entry.kept += part.length;
  held += part.length;
  if (m.end) {
    entry.end = true;
    entry.cut = m.cut;
    unfinished.delete(m.id);
  }
  while (entries.length > kept || (held > keptAll && entries.length > 1)) forget(entries.shift());
  undrawn.add(entry);
  draw();
}

function forget(entry) {
  held -= entry.kept;
  gone++;
  if (undrawn.delete(entry) && entry.node === null) missed++;
  if (paused && entry.node) stale.push(entry.node);
  else entry.node?.remove();
  unfinished.delete(entry.id);
}

// cutAll marks what was under way when the connection broke.
function cutAll() {
  for (const entry of unfinished.values()) {
    entry.cut = entry.end = true;
    undrawn.add(entry);
  }
  unfinished.clear();
  draw();
}

function draw() {
  if (drawing || paused || undrawn.size === 0) {
    count();
    return;
  }
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    // The newest first, if there are too many: the others may be gone before
    // their turn comes.
    const now = [...undrawn].slice(-aFrame);
    for (const entry of now) {
      undrawn.delete(entry);
      const node = shown(entry);
      if (entry.node) entry.node.replaceWith(node);
      else place(entry, node);
      entry.node = node;
    }
    draw();
  });
}

// place puts a message before the next older one that is drawn.
function place(entry, node) {
  for (let i = entries.indexOf(entry) - 1; i >= 0; i--) {
    if (entries[i].node) {
      entries[i].node.before(node);
      return;
    }
  }
  $("messages").append(node);
}

let counting = 0;

// count says how many there were, not more often than somebody can read it.
function count() {
  if (counting) return;
  counting = setTimeout(() => {
    counting = 0;
    let text = total === 0 ? "" : total === 1 ? "1 message" : `${total} messages`;
    if (gone > 0) text += `; the last ${entries.length} are kept`;
    if (missed > 0) text += `; ${missed} came faster than they can be shown`;
    $("count").textContent = text;
  }, 250);
}

// shown makes what is seen of a message.
function shown(entry) {
  const header = (name) => thinned(entry.headers[name]?.[0] ?? "");
  const what = `${header("Patch-Method") || "message"} ${header("Patch-Uri")}`.trim();
  const about = [size(entry.length)];
  const type = header("Content-Type");
  if (type) about.push(type);
  if (!entry.end) about.push("still coming…");
  const title = el("header", {}, el("h2", {}, what), el("time", { dateTime: entry.time.toISOString() }, clock.format(entry.time)), el("span", { className: "about" }, about.join(" · ")));
  if (entry.late) title.append(el("span", { className: "cut" }, "the beginning was not kept"));
  if (entry.cut) title.append(el("span", { className: "cut" }, "cut off: the rest did not get here"));
  const rows = Object.entries(entry.headers)
    .filter(([name]) => name !== "Patch-Method" && name !== "Patch-Uri")
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, values]) => values.map((v) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, thinned(v)))));
  const headers = el("details", { open: entry.node ? entry.node.querySelector("details")?.open : true }, el("summary", {}, rows.length === 1 ? "1 header" : `${rows.length} headers`), el("table", {}, el("tbody", {}, ...rows)));
  const body = () => joined(entry.chunks);
  const buttons = el("div", { className: "actions" }, copyButton("Copy as curl", () => asCurl(entry, location.origin, body(), entry.length)));
  if (entry.kept > 0) {
    const name = entry.id + (/json/.test(type) ? ".json" : ".bin");
    buttons.append(el("button", { type: "button", onclick: () => save(new Blob(entry.chunks), name) }, entry.kept < entry.length ? `Save the first ${size(entry.kept)}` : "Save the body"));
  }
  const node = el("li", { className: "message" }, title);
  if (rows.length > 0) node.append(headers);
  node.append(...shownBody(entry.chunks, entry.kept, entry.length), buttons);
  return node;
}
