// Names of channels, as people write them, and the URLs they stand for.

const doors = new Set(["p", "public", "topic", "pubsub", "pipe", "h", "r", "u", "channels"]);

// channelOf reads a channel such as "news", "p/news" or an address that somebody
// copied from this page, and returns its path, such as "p/news", not yet encoded.
// What cannot be a channel is an error that says so.
export function channelOf(text) {
  let name = text.trim();
  if (name.startsWith(location.origin + "/")) name = decodeURIComponent(new URL(name).pathname);
  name = name.replace(/^\/+/, "");
  const door = name.split("/", 1)[0];
  if (!doors.has(door) || door === name) name = "p/" + name;
  return checked(name);
}

// topicOf reads a public topic: "news" is p/news, whatever it looks like.
export function topicOf(text) {
  return checked("p/" + text.trim().replace(/^\/+/, ""));
}

function checked(name) {
  const rest = name.slice(name.indexOf("/") + 1);
  if (rest === "") throw new Error("say which channel");
  if (rest.split("/").some((s) => s === "." || s === "..")) throw new Error("“.” and “..” cannot be part of a channel’s name");
  if (/[\u0000-\u001f\u007f]/.test(name)) throw new Error("a channel’s name has no control characters");
  pathOf(name);
  return name;
}

// pathOf is the URL's path of a channel.
export function pathOf(name) {
  try {
    return "/" + name.split("/").map(encodeURIComponent).join("/");
  } catch {
    throw new Error("this name is not valid text");
  }
}

// isCall tells whether a channel is an end of a request/response channel. To look at
// one takes a request or makes one.
export function isCall(name) {
  const segments = name.split("/");
  return ["req", "res"].includes(segments[segments[0] === "u" ? 2 : 1]);
}

// quoted writes a word for a shell.
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'";
}

// credentials are the headers of a request with these credentials. The secret of a hook
// and the token of a user go the same way.
export function credentials(secret) {
  return secret ? { Authorization: "Bearer " + secret } : {};
}
