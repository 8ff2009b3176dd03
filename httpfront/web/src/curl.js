// A message as the command that sends it again.

import { quoted } from "./channel.js";

// Headers that curl or the relay set themselves, or that belong to the way the
// message came.
const own = /^(host|content-length|accept-encoding|connection|x-forwarded-.*|x-real-ip|forwarded|via|patch-.*|patchwork-from|user-agent|accept)$/i;
const freely = /^(accept-language|referer|origin|content-type)$/i;
const longest = 32 << 10; // bytes of a body that fit into a command

// What a terminal takes for a key that was pressed: pasted, it can end the command and
// begin another one.
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const control = new RegExp(controls.source);

// asCurl writes the command for a message of length bytes, of which body is what is
// kept, to the relay at origin. entry.path is that of the channel: what did not come by
// a request that can be made again, but by SSH or a WebSocket, is broadcast there.
export function asCurl(entry, origin, body, length) {
  let method = entry.headers["Patch-Method"]?.[0] ?? "POST";
  let uri = entry.headers["Patch-Uri"]?.[0] ?? "";
  if (uri === "" || (method === "GET" && !/[?&]body=/.test(uri))) {
    method = "POST";
    uri = entry.path + "?pubsub=true";
  }
  uri = uri.replace(controls, encodeURIComponent);
  const hook = /^\/[hr]\//.test(uri);
  const words = ["curl", "-g"]; // or brackets in the address are a million addresses
  if (method !== "POST" && method !== "GET") words.push("-X", method);
  words.push(quoted(origin + uri));
  for (const [name, values] of Object.entries(entry.headers)) {
    if (own.test(name)) continue;
    const prefix = hook || freely.test(name) ? "" : "Patch-H-";
    for (const v of values) if (!control.test(v)) words.push("-H", quoted(`${prefix}${name}: ${v}`));
  }
  if (!entry.headers["Content-Type"] && method !== "GET") words.push("-H", "Content-Type:"); // or curl makes one up
  if (uri.startsWith("/h/")) words.push("-H", "'X-Patch-Secret: SECRET'");
  if (method === "GET") return words.join(" ");
  if (length > longest) return [...words, "--data-binary", "@body"].join(" ");
  let text = null;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    // It is not text.
  }
  if (text === null || control.test(text)) {
    const base64 = btoa(String.fromCharCode(...body));
    return `echo ${base64} | base64 -d | ${words.join(" ")} --data-binary @-`;
  }
  // --data-raw, for a body may begin with @.
  return [...words, "--data-raw", quoted(text)].join(" ");
}
