// Receiving a file: from whoever posts one to a channel, and, if that is 'patchwork
// share', with checksums agreed on and again from where it broke off. What is said
// then is in docs/files.md, "What is on the wire".

import { credentials, pathOf } from "./channel.js";
import { refusal } from "./refusal.js";
import { opened, proof, sha256 } from "/assets/age.js";

const patience = 300_000; // ms to wait for a sender to come back
const answerTime = 20_000; // ms to wait for an answer before the report is sent again
const answerShown = 4 << 10; // bytes of an answer's text that are read
const hookWord = /^[0-9A-Za-z-]+$/;

// A Problem is an end with a reason for people.
export class Problem extends Error {}

class Passing extends Error {} // trouble after which it is worth trying again

// receive takes one file. sink has write(bytes) and reset(), which may be promises; onProgress hears
// (bytes, size or null), onState a line, onBegin that a sender is there. It returns {size, sum, agreed, kind, name}.
// agreed: the sender has confirmed the checksum.
export function receive(options) {
  return new Receiving(options).run();
}

class Receiving {
  constructor(options) {
    this.o = options;
    this.sum = sha256.create();
    this.n = 0;
    this.size = null;
    this.keys = new Map(); // of the messages that came
    this.attempt = 0;
    this.sealed = false;
  }

  async run() {
    const { channel, secret, signal } = this.o;
    this.o.onState("Waiting for the sender…");
    const first = await fetch(pathOf(channel), { headers: credentials(secret), cache: "no-store", signal });
    if (!first.ok) throw new Problem(await refusal(first));
    this.o.onBegin();
    const h = first.headers;
    this.sealed = h.has("Patchwork-Seal");
    const said = h.get("Patchwork-Size") ?? (this.sealed ? null : h.get("Content-Length"));
    this.size = /^\d{1,15}$/.test(said ?? "") ? Number(said) : null;
    this.kind = h.get("Patchwork-Kind") ?? "file";
    this.name = fileName(h.get("Content-Disposition"));
    this.report = h.get("Patchwork-Report") ?? "";
    if (this.o.key && !this.sealed) {
      first.body.cancel().catch(() => {});
      throw new Problem("Somebody sent a file there that is not encrypted to the key in this link. It was not taken.");
    }
    const version = h.get("Patchwork-Transfer");
    if (version === null) return this.plain(first);
    if (version !== "1" || this.size === null || !hookWord.test(this.report)) {
      throw new Problem("the sender is of another version");
    }
    this.mine = await this.again(() => this.json("/r"));
    try {
      await this.transfer(first);
    } catch (err) {
      if (!signal.aborted && !err.told) this.say({ failed: String(err.message).slice(0, 200) }, 5_000).catch(() => {});
      throw err;
    }
    return this.result(true);
  }

  result(agreed) {
    const sum = Array.from(this.sum.clone().digest(), (b) => b.toString(16).padStart(2, "0")).join("");
    return { size: this.n, sum, agreed, kind: this.kind, name: this.name };
  }

  // plain takes a message of somebody who does not wait for reports.
  async plain(first) {
    this.o.onState("Receiving…");
    try {
      await this.copy(await this.open(first));
    } catch (err) {
      if (err instanceof Passing) throw new Problem("It broke off. The sender has to send it again.");
      throw err;
    }
    if (this.size !== null && this.n !== this.size) throw new Problem("It is not whole. The sender has to send it again.");
    return this.result(false);
  }

  // transfer gets all of the file, from as many messages as it takes.
  async transfer(first) {
    await this.say({ begun: true }, 10_000).catch(passing);
    this.o.onState("Receiving…");
    let message = first;
    for (;;) {
      if (message !== null) {
        try {
          await this.copy(await this.open(message));
          this.o.onState("All is here. Comparing checksums with the sender…");
        } catch (err) {
          passing(err);
          this.o.onState("The connection broke. Waiting for the sender to go on…");
        }
      }
      const answer = await this.ask();
      message = null;
      switch (answer.headers.get("Patchwork-Answer")) {
        case "done":
          await short(answer);
          if (this.n !== this.size || answer.headers.get("Patchwork-Proof") !== this.proof("done")) {
            throw new Problem("The sender’s checksum is another. Have it sent again.");
          }
          return;
        case "data":
          if (Number(answer.headers.get("Patchwork-Offset")) === this.n) {
            message = answer;
            this.o.onState("Receiving…");
          } else {
            await answer.body.cancel();
          }
          break;
        case "restart":
          await short(answer);
          this.sum = sha256.create();
          this.n = 0;
          await this.o.sink.reset();
          break;
        case "busy":
        case "failed":
          throw Object.assign(new Problem("The sender says: " + (await short(answer)).slice(0, 1000).trim()), { told: true });
        default:
          await answer.body.cancel();
      }
    }
  }

  proof(word) {
    return proof(this.sealed ? this.keys.get(this.attempt) : null, word, this.sum.clone().digest());
  }

  // open returns a stream of what is inside of a message.
  async open(message) {
    if (!this.sealed) return message.body;
    const { key, passphrase } = this.o;
    if (!key && !passphrase) {
      message.body.cancel().catch(() => {});
      throw new Problem("It is encrypted. This takes the whole link, with its key, or the passphrase.");
    }
    let inside;
    try {
      inside = await opened(message.body, { key, passphrase });
    } catch (err) {
      message.body.cancel().catch(() => {});
      if (err instanceof TypeError) throw new Passing();
      throw new Problem(/no identity matched/.test(err.message)
        ? (key ? "The key in this link is for another file." : "The passphrase is wrong, or the file is encrypted to a key; use patchwork download for that.")
        : "What came is not an encrypted file: " + err.message);
    }
    this.attempt = Number(message.headers.get("Patchwork-Attempt") ?? 0);
    this.keys.set(this.attempt, inside.fileKey);
    return inside.stream;
  }

  async copy(stream) {
    const reader = stream.getReader();
    for (;;) {
      let chunk;
      try {
        chunk = await reader.read();
      } catch (err) {
        if (this.o.signal.aborted) throw err;
        if (err instanceof TypeError) throw new Passing(); // of the network
        throw new Problem("What came was changed on its way: it cannot be decrypted.");
      }
      if (chunk.done) break;
      if (this.size !== null && this.n + chunk.value.length > this.size) {
        reader.cancel().catch(() => {});
        throw new Problem("More came than the sender had said. Have it sent again.");
      }
      await this.o.sink.write(chunk.value);
      this.sum.update(chunk.value);
      this.n += chunk.value.length;
      this.o.onProgress(this.n, this.size);
    }
    if (this.size !== null && this.n < this.size) throw new Passing();
  }

  // ask reports what is here, and waits for the answer.
  ask() {
    return this.again(async () => {
      await this.say({ offset: this.n, attempt: this.attempt, proof: this.proof("have") }, patience);
      return this.checked(await fetch(`/r/${this.mine.channel}?timeout=${answerTime / 1000}`, {
        headers: { "X-Patch-Secret": this.mine.secret }, cache: "no-store", signal: this.o.signal,
      }));
    });
  }

  // say sends a report.
  async say(report, within) {
    await this.checked(await fetch(`/r/${this.report}?timeout=${within / 1000}`, {
      method: "POST", body: JSON.stringify({ answer: this.mine.channel, offset: 0, proof: "", attempt: 0, ...report }), signal: this.o.signal,
    }));
  }

  async json(path) {
    return (await this.checked(await fetch(path, { cache: "no-store", signal: this.o.signal }))).json();
  }

  async checked(answer) {
    if (answer.ok) return answer;
    const text = await refusal(answer);
    if ([408, 410, 429, 502, 503, 504].includes(answer.status)) throw new Passing(text);
    throw new Problem(text);
  }

  // again does what may pass, until it does.
  async again(what) {
    const until = Date.now() + patience;
    for (let wait = 250; ; wait = Math.min(5_000, 2 * wait)) {
      try {
        return await what();
      } catch (err) {
        if (this.o.signal.aborted) throw err;
        passing(err);
        if (Date.now() > until) throw new Problem("The sender has not come back.");
        await new Promise((done) => setTimeout(done, wait));
      }
    }
  }
}

// passing throws what does not pass by itself. Of the browser, the network's
// errors are TypeErrors.
function passing(err) {
  if (!(err instanceof Passing || err instanceof TypeError)) throw err;
}

// short reads the text of an answer, of which a sender may make no more than a
// few lines. Those that are short are read to their end, by which the sender knows
// that they came.
async function short(answer) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let n = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value.subarray(0, answerShown - n), { stream: true });
    n += value.length;
    if (n >= answerShown) {
      reader.cancel().catch(() => {});
      return text;
    }
  }
}

// fileName reads the name out of Content-Disposition (RFC 6266).
function fileName(disposition) {
  if (disposition === null) return "";
  const extended = /filename\*=utf-8''([^;]+)/i.exec(disposition)?.[1];
  try {
    if (extended) return decodeURIComponent(extended);
  } catch {
    // It is written wrongly; the plain one may not be.
  }
  const quoted = /filename="((?:[^"\\]|\\.)*)"/i.exec(disposition)?.[1]?.replace(/\\(.)/g, "$1");
  return quoted ?? /filename=([^;\s]+)/i.exec(disposition)?.[1] ?? "";
}
