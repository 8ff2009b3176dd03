// How a body is shown: JSON set out, text as it is, anything else in hex. Of long
// ones the beginning.

import { el, size } from "./dom.js";
import { thinned } from "./thin.js";

const textShown = 16 << 10; // bytes
const hexShown = 2 << 10; // bytes
const jsonParsed = 256 << 10; // bytes

// joined makes one array of chunks, of so many bytes at most.
export function joined(chunks, most = Infinity) {
  const length = Math.min(most, chunks.reduce((n, c) => n + c.length, 0));
  const all = new Uint8Array(length);
  let at = 0;
  for (const c of chunks) {
    if (at === length) break;
    const part = c.subarray(0, length - at);
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// shownBody makes the elements that show a body of length bytes, of which kept
// ones are in chunks.
export function shownBody(chunks, kept, length) {
  if (length === 0) return [];
  const begin = joined(chunks, jsonParsed);
  const text = textOf(begin, begin.length < length);
  if (text === null) return [box("hex", hex(begin.subarray(0, hexShown))), ...left(Math.min(hexShown, begin.length), kept, length)];
  const pretty = begin.length === length ? json(text) : null;
  const all = pretty ?? text;
  const begun = all.slice(0, textShown);
  const thin = thinned(begun);
  const piled = thin === begun ? [] : [el("p", { className: "hint" }, "Marks that pile up on one letter are not all shown; a saved body has them.")];
  return [box("text", thin), ...piled, ...left(all.length <= textShown ? kept : Math.min(textShown, length), kept, length)];
}

function box(kind, text) {
  return el("pre", { className: kind, tabIndex: 0 }, el("code", {}, text));
}

// left says what is not shown.
function left(shown, kept, length) {
  if (shown >= length) return [];
  const rest = kept < length ? `; the first ${size(kept)} are kept here` : "";
  return [el("p", { className: "hint" }, `This is the beginning, of ${size(length)}${rest}.`)];
}

// textOf decodes text, or returns null for what is none. more says that the end may
// be cut in the middle of a character.
function textOf(bytes, more) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: more });
    return /[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

// json sets JSON out, or returns null for what is none. Numbers stay as they were
// written only where the browser does not round them; so what would change is
// shown as it came.
function json(text) {
  const start = text.trimStart()[0];
  if (start !== "{" && start !== "[") return null;
  try {
    const value = JSON.parse(text);
    const same = (s) => s.replace(/\s+/g, "");
    const pretty = JSON.stringify(value, null, 2);
    return same(pretty) === same(text) ? pretty : text;
  } catch {
    return null;
  }
}

// hex sets bytes out, sixteen a line: offset, bytes, and what of them is ASCII.
export function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const codes = Array.from(row, (b) => b.toString(16).padStart(2, "0"));
    const ascii = Array.from(row, (b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : "."));
    lines.push(`${at.toString(16).padStart(6, "0")}  ${codes.join(" ").padEnd(48)} ${ascii.join("")}`);
  }
  return lines.join("\n");
}
