// Readers of the two formats in which the relay frames messages.

// eventData yields the data of each server-sent event of a body, and null for
// each comment, which is the relay's sign of life (WHATWG HTML, section 9.2).
export async function* eventData(body) {
  let data = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length > 0) yield data.join("\n");
      data = [];
    } else if (line.startsWith(":")) {
      yield null;
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
}

// lines yields each line of a body that ends with \n. An unfinished one at the end
// is not whole, and is left out.
export async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let begun = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = value.split("\n");
      for (let i = 0; i < parts.length - 1; i++) {
        begun.push(parts[i]);
        yield begun.join("");
        begun = [];
      }
      begun.push(parts[parts.length - 1]);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// messageOf reads the relay's JSON for a message, or a part of one.
export function messageOf(json) {
  const m = JSON.parse(json);
  return {
    id: m.id,
    time: new Date(m.time),
    headers: m.headers,
    data: m.body_base64 === undefined ? (m.body ?? "") : bytesOf(m.body_base64),
    part: m.part ?? 0,
    end: m.end === true || m.cut === true || m.part === undefined,
    cut: m.cut === true,
    late: m.late === true,
  };
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
