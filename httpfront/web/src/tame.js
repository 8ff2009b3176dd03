// What others send is drawn on the terminal, and that is all it may do.

// tame keeps text of others from answering, listening and working without end.
// work(n) books n steps of work, and says whether they may be done.
export function tame(term, { work }) {
  const ignored = () => true;
  // Answers would go to everybody as if they had been typed here (ECMA-48 DA and DSR;
  // XTerm Control Sequences: DECRQM, DECRQSS, XTVERSION, window and colour reports).
  for (const id of [
    { final: "c" }, { prefix: ">", final: "c" }, { prefix: "=", final: "c" },
    { final: "n" }, { prefix: "?", final: "n" },
    { intermediates: "$", final: "p" }, { prefix: "?", intermediates: "$", final: "p" },
    { prefix: ">", final: "q" }, { final: "t" }, { prefix: "?", final: "u" },
  ]) term.parser.registerCsiHandler(id, ignored);
  term.parser.registerDcsHandler({ intermediates: "$", final: "q" }, ignored);
  for (const id of [4, 10, 11, 12, 52]) term.parser.registerOscHandler(id, ignored);
  // So would what the mouse does, and that the window was left.
  term.parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) => params.some((p) => reports.has(p)));
  // xterm.js does these as often as it is told, one by one. More often than there are
  // lines or columns makes no difference that could be seen.
  for (const [finals, most] of [["STLM", () => term.rows], ["IZb@PX", () => term.cols]])
    for (const final of finals)
      term.parser.registerCsiHandler({ final }, (params) => {
        const times = typeof params[0] === "number" ? params[0] : 1;
        return times > most() || !work(times);
      });
}

// reports are the modes in which a terminal tells of mouse and focus.
const reports = new Set([9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016]);
