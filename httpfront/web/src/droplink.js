// Links to files: ORIGIN/drop#channel=PATH&key=AGE-SECRET-KEY-1…&name=FILE. What is
// behind # stays in the browser. 'patchwork share --link' makes them, and 'patchwork
// download LINK' reads them.

import { channelOf } from "./channel.js";

// linkTo writes a link. key is "" for a file that is not encrypted.
export function linkTo({ channel, key, name }) {
  const what = new URLSearchParams({ channel });
  if (key) what.set("key", key);
  if (name) what.set("name", name);
  // Slashes need no escape there, and so it can be read.
  return `${location.origin}/drop#${what.toString().replaceAll("%2F", "/")}`;
}

// readLink reads a link, or just a channel. What makes no sense is an error that
// says so.
export function readLink(text) {
  text = text.trim();
  const at = text.indexOf("#");
  if (at < 0) return { channel: channelOf(text), key: "", name: "" };
  if (/^https?:/i.test(text) && new URL(text).origin !== location.origin) {
    throw new Error(`this link leads to another relay; open it: ${new URL(text).origin}`);
  }
  const what = new URLSearchParams(text.slice(at + 1));
  const key = (what.get("key") ?? "").trim();
  if (!what.get("channel")) throw new Error("this link names no channel; it may have been cut off");
  if (key && !/^AGE-SECRET-KEY-1[0-9A-Z]+$/.test(key)) throw new Error("the key in this link is not whole; it may have been cut off");
  return { channel: channelOf(what.get("channel")), key, name: what.get("name") ?? "" };
}
