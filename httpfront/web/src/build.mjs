// build.mjs MODULES OUT: builds the scripts and styles of the pages from this
// folder, with the packages in MODULES, into the folder OUT. The same sources and
// lock file give the same bytes; a test holds the ones that are kept to it.

import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, out] = process.argv.slice(2).map((p) => resolve(p));
const src = dirname(fileURLToPath(import.meta.url));
const { build } = createRequire(join(modules, "package.json"))("esbuild");
mkdirSync(out, { recursive: true });

const result = await build({
  absWorkingDir: src,
  // The last three are loaded when a page needs them.
  entryPoints: ["home.js", "docs.js", "terminal.js", "inspect.js", "drop.js", "receive.js", "xterm.js", "age.js"],
  external: ["/assets/*"],
  nodePaths: [modules],
  // The package does not export these parts by themselves; age.js says why it needs
  // them.
  alias: {
    "age-encryption/recipients": join(modules, "age-encryption/dist/recipients.js"),
    "age-encryption/x25519": join(modules, "age-encryption/dist/x25519.js"),
  },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none", // licences.txt has the licences whole
  banner: { js: "/* Built from httpfront/web/src by make web. Licences: /assets/licenses.txt */" },
  metafile: true,
  outdir: out,
  logLevel: "warning",
});

await build({
  absWorkingDir: src,
  entryPoints: [join(src, "site.css"), join(modules, "@xterm/xterm/css/xterm.css")],
  entryNames: "[name]",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  outdir: out,
  logLevel: "warning",
});

// The licences of every package that a script has something of.
const used = new Set(["@xterm/xterm"]);
for (const input of Object.keys(result.metafile.inputs)) {
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
  if (name) used.add(name);
}
let text = "The scripts of these pages contain the following packages.\n";
for (const name of [...used].sort()) {
  const dir = join(modules, name);
  const { version } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
  const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
  if (!file) throw new Error(`${name} has no licence file: look at it before it is bundled`);
  text += `\n${"-".repeat(72)}\n${name} ${version}\n\n${readFileSync(join(dir, file), "utf8").replaceAll("\r\n", "\n").trim()}\n`;
}
writeFileSync(join(out, "licenses.txt"), text);

for (const name of ["icon.svg", "robots.txt"]) copyFileSync(join(src, name), join(out, name));
if (!existsSync(join(out, "site.css"))) throw new Error("site.css was not built");
