// Why a request was refused, in one line.

// refusal is what an answer other than 200 says: the relay's own line, or what is to
// be said of a proxy's page.
export async function refusal(answer) {
  const kind = answer.headers.get("Content-Type") ?? "";
  return worded(answer.status, kind, await answer.text().catch(() => ""));
}

export const noSecret = "This needs the channel’s secret.";

export function worded(status, kind, text) {
  const line = kind.startsWith("text/plain") ? text.trim().slice(0, 500) : "";
  if (status === 401 && line.includes("?secret=")) return noSecret; // the line is about requests
  if (line) return line;
  if (status === 413) return "A proxy before the relay does not let through what is as long as this (413). Its operator can: client_max_body_size 0; in nginx.";
  return `The relay, or a proxy before it, refuses this (${status}).`;
}
