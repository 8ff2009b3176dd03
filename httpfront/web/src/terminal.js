// The terminal: a pipe to a public topic on an emulated screen.

import { $, copyable, random, size, yes } from "./dom.js";
import { topicOf } from "./channel.js";
import { Link, closed, open, refused } from "./link.js";
import { tame } from "./tame.js";
import { thinned } from "./thin.js";

const held = 1 << 20; // characters or bytes that wait to be drawn; older ones are left out
const step = 128 << 10; // of these, what is drawn before the page gets a turn
const steps = 4000; // of work that a terminal does one by one, in the same time
const remembered = 50; // lines that the up key brings back

const nonce = document.querySelector("script[nonce]").nonce;
const query = new URLSearchParams(location.search);

let link = null;
let term = null;
let fit = null;

copyable();
$("topic").value = query.get("topic") || "chat-" + random(6);
for (const name of ["replay", "binary", "status", "keys"]) $(name).checked = yes(query, name);
$("connect").hidden = false;
$("connect").onsubmit = (e) => {
  e.preventDefault();
  if (link) leave();
  else join();
};
$("topic").oninput = () => $("topic").setCustomValidity(problem());
if (query.get("topic") && yes(query, "autoConnect")) join();

function problem() {
  try {
    topicOf($("topic").value);
    return "";
  } catch (err) {
    return err.message;
  }
}

async function join() {
  $("topic").setCustomValidity(problem());
  if (!$("connect").reportValidity()) return;
  await screen();
  const channel = topicOf($("topic").value);
  remember();
  for (const input of $("connect").querySelectorAll("input")) input.disabled = true;
  $("go").textContent = "Disconnect";
  const replay = $("replay").checked;
  let first = true;
  link = new Link({
    channel,
    replay,
    binary: $("binary").checked,
    access: query.get("access") ?? "",
    onMessage: ({ data, cut }) => {
      draw(data);
      if (cut) note("this message was cut off here");
    },
    onGreeting: (line) => {
      if ($("status").checked) note(line.trim());
    },
    onState: (state, text) => {
      $("state").textContent = text;
      $("state").dataset.state = state;
      $("say").disabled = state !== open;
      if (state === open && first) {
        first = false;
        ($("keys").checked ? term : $("text")).focus({ preventScroll: true });
        ($("keys").checked ? $("terminal") : $("line")).scrollIntoView({ block: "nearest" });
      }
      if (state === closed || state === refused) leave();
    },
  });
}

function leave() {
  const old = link;
  link = null;
  old?.close();
  for (const input of $("connect").querySelectorAll("input")) input.disabled = false;
  $("go").textContent = "Connect";
  $("say").disabled = true;
}

// remember puts into the address what it takes to be here again.
function remember() {
  const now = new URLSearchParams({ topic: $("topic").value });
  for (const name of ["replay", "binary", "status", "keys"]) if ($(name).checked) now.set(name, "true");
  if (query.get("access")) now.set("access", query.get("access"));
  now.set("autoConnect", "true");
  history.replaceState(null, "", "?" + now);
}

// screen shows the terminal, which is loaded the first time.
async function screen() {
  $("terminal").hidden = false;
  $("line").hidden = $("keys").checked;
  if (term === null) {
    giveNonce();
    const { Terminal, FitAddon } = await import("/assets/xterm.js");
    term = new Terminal({
      convertEol: true,
      scrollback: 5000,
      screenReaderMode: true,
      fontFamily: getComputedStyle($("text")).fontFamily,
      fontSize: 14,
      minimumContrastRatio: 4.5,
      theme: theme(),
      linkHandler: { activate: () => {} }, // a stranger's links lead nowhere
    });
    tame(term, budget);
    fit = new FitAddon();
    term.loadAddon(fit);
    term.open($("terminal"));
    term.onData((text) => {
      if ($("keys").checked) link?.send(outgoing(text.replaceAll("\r", "\n")));
    });
    dark.addEventListener("change", () => (term.options.theme = theme()));
    new ResizeObserver(() => fit.fit()).observe($("terminal"));
  }
  term.options.disableStdin = !$("keys").checked;
  term.options.cursorBlink = $("keys").checked;
  fit.fit();
}

// giveNonce lets the style elements that xterm.js makes be used: the page's policy
// allows none without its nonce.
function giveNonce() {
  const make = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const e = make(name, options);
    if (name === "style") e.nonce = nonce;
    return e;
  };
}

const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  return { background: color("--field"), foreground: color("--ink"), cursor: color("--accent"), cursorAccent: color("--field"), selectionBackground: color("--mark") };
}

// budget bounds the work of what is drawn before the page gets a turn.
const budget = {
  left: 0,
  work: (n) => (budget.left -= n) >= 0,
};

// What comes waits here for its turn. A flood is not drawn whole: what nobody
// could read is left out, and counted.
let queue = [];
let length = 0;
let leftOut = 0;
let drawing = false;

function draw(data) {
  queue.push(data);
  length += data.length;
  while (length > held && queue.length > 1) {
    leftOut += queue[0].length;
    length -= queue[0].length;
    queue.shift();
  }
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(drawSome);
  }
}

function drawSome() {
  if (queue.length === 0) {
    drawing = false;
    return;
  }
  let n = 0;
  budget.left = steps;
  while (queue.length > 0 && n < step) {
    const data = queue.shift();
    n += data.length;
    length -= data.length;
    // Only whole messages come, or parts cut between characters: what is not
    // valid on its own is not valid.
    term.write(thinned(typeof data === "string" ? data : new TextDecoder().decode(data), budget));
  }
  if (leftOut > 0) {
    $("left-out").hidden = false;
    $("left-out").textContent = `Left out, as it came faster than it can be shown: ${size(leftOut)}.`;
  }
  term.write("", () => requestAnimationFrame(drawSome));
}

// note writes a line of the page itself, which nothing that comes can look like
// for long: it begins a line of its own, in a colour of its own.
function note(text) {
  draw(`${fresh()}\x1b[0;90m[${plain(text)}]\x1b[0m\n`);
}

function fresh() {
  return term.buffer.active.cursorX > 0 ? "\n" : "";
}

// plain is text without what a terminal takes for orders.
function plain(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

function outgoing(text) {
  return $("binary").checked ? new TextEncoder().encode(text) : text;
}

const typed = [];
let back = 0;

$("line").onsubmit = (e) => {
  e.preventDefault();
  const text = $("text").value;
  if (!link?.send(outgoing(text + "\n"))) {
    $("state").textContent = "Not sent: there is no connection at the moment.";
    return;
  }
  if (!$("replay").checked) draw(`${fresh()}\x1b[0;36m› ${plain(text)}\x1b[0m\n`);
  if (text !== "") typed.push(text);
  if (typed.length > remembered) typed.shift();
  back = typed.length;
  $("text").value = "";
};

$("text").onkeydown = (e) => {
  const to = back + { ArrowUp: -1, ArrowDown: 1 }[e.key];
  if (!(to >= 0 && to <= typed.length)) return;
  back = to;
  $("text").value = typed[to] ?? "";
  e.preventDefault();
};
