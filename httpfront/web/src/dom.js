// What all pages need of the document. Text of others only ever becomes text
// nodes: nothing here, or anywhere else, parses markup.

export const $ = (id) => document.getElementById(id);

// el makes an element. Properties are set, not attributes; children are nodes or text.
export function el(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in e) e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

// copyable gives every command on the page a button that copies it.
export function copyable(root = document) {
  for (const box of root.querySelectorAll(".command")) {
    if (box.querySelector("button")) continue;
    const code = box.querySelector("code");
    box.append(copyButton("Copy", () => code.textContent));
  }
}

// copyButton copies what text() is when it is pressed, and says so.
export function copyButton(label, text) {
  const word = el("span", { role: "status" }, label);
  const button = el("button", { type: "button", className: "copy" }, word);
  let back;
  button.onclick = async () => {
    word.textContent = (await copy(text())) ? "Copied" : "Not copied";
    clearTimeout(back);
    back = setTimeout(() => (word.textContent = label), 1600);
  };
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Only pages that came by https, or from this machine, have a clipboard.
    const area = el("textarea", { value: text, className: "away" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// size writes a number of bytes for people.
export function size(n) {
  if (n === 1) return "1 byte";
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${n} bytes` : `${value.toFixed(1)} ${"KMGTP"[unit - 1]}iB`;
}

// random is a name that nobody guesses by chance, with so many letters.
export function random(letters) {
  const alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(letters)), (b) => alphabet[b % 32]).join("");
}

// yes reads a boolean of the page's query: it is true when it is there, unless it
// says otherwise.
export function yes(query, name) {
  return query.has(name) && !["0", "f", "false", "no", "off"].includes(query.get(name).toLowerCase());
}

// save has the browser keep a blob as a file.
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
