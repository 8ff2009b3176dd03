// The manual: its command blocks can be copied.

import { copyButton } from "./dom.js";

for (const pre of document.querySelectorAll(".prose pre")) {
  const box = document.createElement("div");
  box.className = "command";
  pre.replaceWith(box);
  box.append(pre, copyButton("Copy", () => pre.textContent.trimEnd()));
}
