// The page that sends files and receives them.

import { $, copyable, random, save, size } from "./dom.js";
import { channelOf } from "./channel.js";
import { linkTo, readLink } from "./droplink.js";
import { post } from "./send.js";

const sealedMost = 2 * 1024 ** 3; // bytes of a file that is encrypted here

copyable();
$("both").hidden = false;
$("send-channel").value = "p/drop-" + random(10);
$("to-disk").hidden = !("showSaveFilePicker" in window);

// A side is one half of the page: its progress, its words, its stop button.
function side(name) {
  const progress = $(name + "-progress");
  const bar = progress.querySelector("progress");
  const words = progress.querySelector("span");
  const state = $(name + "-state");
  let stop = null;
  $(name + "-stop").onclick = () => stop?.abort();
  return {
    say(kind, text) {
      state.dataset.state = kind;
      state.textContent = text;
    },
    at(n, all, what = "") {
      progress.hidden = false;
      if (all === null) bar.removeAttribute("value");
      else bar.value = all === 0 ? 1 : n / all;
      words.textContent = all === null ? size(n) : `${size(n)} of ${size(all)}${what}`;
    },
    // run does something that can be stopped.
    async run(what) {
      stop?.abort();
      const mine = (stop = new AbortController());
      $(name + "-stop").hidden = false;
      progress.hidden = true;
      leaving(1);
      try {
        await what(mine.signal);
      } catch (err) {
        if (mine.signal.aborted) this.say("closed", "Stopped.");
        else this.say("failed", err instanceof TypeError ? `The relay does not answer (${err.message}). Try again.` : err.message);
      } finally {
        leaving(-1);
        if (stop === mine) {
          stop = null;
          $(name + "-stop").hidden = true;
        }
      }
    },
  };
}

// leaving has the browser ask before a page with a transfer under way is left.
let under = 0;
function leaving(more) {
  under += more;
  window.onbeforeunload = under > 0 ? (e) => e.preventDefault() : null;
}

/* Sending. */

const sender = side("send");
let file = null;

function choose(chosen) {
  file = chosen ?? null;
  $("chosen").textContent = file ? `${file.name}, ${size(file.size)}` : "or drop it here";
}

$("file").onchange = () => choose($("file").files[0]);
$("zone").ondragover = (e) => {
  e.preventDefault();
  $("zone").classList.add("over");
};
$("zone").ondragleave = () => $("zone").classList.remove("over");
$("zone").ondrop = (e) => {
  e.preventDefault();
  $("zone").classList.remove("over");
  if (e.dataTransfer.files.length > 0) {
    $("file").files = e.dataTransfer.files;
    choose(e.dataTransfer.files[0]);
  }
};
$("send-channel").oninput = () => $("send-channel").setCustomValidity("");
$("send").onsubmit = (e) => {
  e.preventDefault();
  let channel;
  try {
    channel = channelOf($("send-channel").value);
  } catch (err) {
    $("send-channel").setCustomValidity(err.message);
    $("send").reportValidity();
    return;
  }
  if (file) sender.run((signal) => send(file, channel, signal));
};

const otherwise = "“patchwork share --link FILE” sends it encrypted from a terminal.";

async function send(file, channel, signal) {
  const encrypt = $("encrypt").checked;
  let key = "";
  let body = file;
  let headers = {
    "Content-Type": file.type || "application/octet-stream",
    "Patch-H-Content-Disposition": `attachment; filename*=UTF-8''${encodeURIComponent(file.name).replace(/['()*]/g, (c) => "%" + c.charCodeAt(0).toString(16))}`,
  };
  if (encrypt && file.size > sealedMost) throw new Error(`This page encrypts files of up to ${size(sealedMost)}, because it has to do that whole before it sends. ${otherwise}`);
  if (encrypt) {
    const age = await import("/assets/age.js");
    key = await age.newKey();
    sender.say("connecting", "Encrypting…");
    const inside = counted(file.stream(), (n) => sender.at(n, file.size, " encrypted"), signal);
    try {
      body = await blobOf(await age.sealed(inside, key));
    } catch (err) {
      signal.throwIfAborted();
      throw new Error(`This browser could not encrypt the file (${err.message}). ${otherwise}`);
    }
    headers = { "Content-Type": "application/octet-stream", "Patch-H-Patchwork-Seal": "age" };
  }
  headers["Patch-H-Patchwork-Size"] = String(file.size);
  const link = linkTo({ channel, key, name: file.name });
  $("link").textContent = link;
  $("download-command").textContent = `patchwork download '${link.replaceAll("'", "%27")}'`;
  $("with-key").hidden = !encrypt;
  $("offered").hidden = false;
  $("send-progress").hidden = true;
  await post({
    channel, secret: $("send-secret").value.trim(), headers, body, signal,
    // Some megabytes leave before anybody receives: what lies in between takes them.
    onProgress: (n, all) => sender.at(n, all, " have left this browser"),
    onState: (text) => sender.say("waiting", text),
  });
  sender.say("done", `Received by the other side: ${file.name}, ${size(file.size)}.`);
  $("offered").hidden = true; // it leads nowhere any more
  $("send-channel").value = "p/drop-" + random(10);
}

function counted(stream, hear, signal) {
  let n = 0;
  return stream.pipeThrough(new TransformStream({
    transform(chunk, to) {
      n += chunk.length;
      hear(n);
      to.enqueue(chunk);
    },
  }), { signal });
}

// blobOf makes a blob of a stream. Of an answer's, Firefox and Chromium keep long ones
// on disk as they come; of arrays, Firefox keeps all in memory. Its type is never a
// page's: the browser is to save it, not to show it.
function blobOf(stream) {
  return new Response(stream, { headers: { "Content-Type": "application/octet-stream" } }).blob();
}

/* Receiving. */

const receiver = side("receive");

// A BlobSink makes a blob of what is written to it.
class BlobSink {
  #writer = null;
  #blob;

  constructor() {
    this.reset();
  }

  write(bytes) {
    return this.#writer.write(bytes);
  }

  reset() {
    this.abort();
    const { readable, writable } = new TransformStream();
    this.#writer = writable.getWriter();
    this.#blob = blobOf(readable);
    this.#blob.catch(() => {}); // whoever asks for it hears that
  }

  abort() {
    this.#writer?.abort().catch(() => {});
  }

  async blob() {
    await this.#writer.close();
    return this.#blob;
  }
}

// A DiskSink writes to a file that the user chose.
class DiskSink {
  #to;
  constructor(to) {
    this.#to = to;
  }
  write(bytes) {
    return this.#to.write(bytes);
  }
  async reset() {
    await this.#to.truncate(0);
    await this.#to.seek(0);
  }
}

if (location.hash.length > 1) $("from").value = location.href;
window.onhashchange = () => {
  if (location.hash.length > 1) $("from").value = location.href;
};
$("from").oninput = () => $("from").setCustomValidity("");
$("receive").onsubmit = (e) => {
  e.preventDefault();
  const from = source();
  if (from) receiver.run((signal) => toMemory(from, signal));
};
$("to-disk").onclick = async () => {
  const from = source();
  if (!from) return;
  let place;
  try {
    place = await window.showSaveFilePicker({ suggestedName: fileName(from.name || from.channel.split("/").pop()) });
  } catch (err) {
    if (err.name !== "AbortError") receiver.say("failed", "This browser does not ask where to: " + err.message);
    return; // nothing was chosen
  }
  receiver.run(async (signal) => {
    const to = await place.createWritable();
    try {
      const got = await receiveFrom(from, new DiskSink(to), signal);
      await to.close(); // now it appears
      said(got, place.name);
    } catch (err) {
      await to.abort().catch(() => {});
      throw err;
    }
  });
};

function source() {
  try {
    return { ...readLink($("from").value), link: $("from").value.trim() };
  } catch (err) {
    $("from").setCustomValidity(err.message);
    $("receive").reportValidity();
    return null;
  }
}

async function receiveFrom(from, sink, signal) {
  const { receive } = await import("/assets/receive.js");
  $("saved").hidden = true;
  return receive({
    ...from, sink, signal,
    secret: $("receive-secret").value.trim(),
    passphrase: $("passphrase").value,
    onBegin: () => forget(from.link),
    onProgress: (n, all) => receiver.at(n, all),
    onState: (text) => receiver.say("connecting", text),
  });
}

// forget takes a link, which may have a key in it, out of the address. It stays in
// the field, to be tried again.
function forget(link) {
  if (link === location.href) history.replaceState(null, "", location.pathname);
}

async function toMemory(from, signal) {
  const sink = new BlobSink();
  let got;
  try {
    got = await receiveFrom(from, sink, signal);
  } catch (err) {
    sink.abort();
    throw err;
  }
  let name = fileName(from.name || got.name || from.channel.split("/").pop());
  if (got.kind === "tar" && !name.endsWith(".tar")) name += ".tar";
  const blob = await sink.blob();
  if ($("save").href) URL.revokeObjectURL($("save").href);
  $("save").href = URL.createObjectURL(blob);
  $("save").download = name;
  $("save").textContent = "Save " + name;
  $("saved").hidden = false;
  save(blob, name);
  said(got, name);
}

function said(got, name) {
  const word = got.agreed ? "as the sender says too" : "which the sender has not said";
  receiver.say("done", `Received ${name}: ${size(got.size)}, SHA-256 ${got.sum}, ${word}.`);
}

// fileName makes a name for a file of whatever the sender said.
function fileName(text) {
  // Control characters and unseen ones, which also turn text around, halves of
  // characters, and what file systems keep for themselves.
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\:*?"<>|]/gu, "_").trim();
  const name = Array.from(plain).slice(0, 200).join("").replace(/^[.\s]+/, "_").replace(/[.\s]+$/, "");
  return name || "file";
}
