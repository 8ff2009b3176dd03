// The terminal emulator, in a file of its own: most pages do without.

export { Terminal } from "@xterm/xterm";
export { FitAddon } from "@xterm/addon-fit";
