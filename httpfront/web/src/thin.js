// Characters that pile up on one letter, as no writing has them: thousands of them
// cost as much work as a long text, and are drawn over what stands above and below.

// Characters that become part of the one before, however many they are.
const joining = /[\p{M}\p{Cf}\u1160-\u11ff]+/gu;
const runs = 8;

// thinned is text with no more such characters in a row than people write. On a
// terminal, which passes its budget, text goes on where what came before ended: it has
// none at its beginning there, and budget.work(n) says whether n more are to be drawn.
export function thinned(text, budget = null) {
  return text.replace(joining, (run, at) => {
    if (budget && at === 0) return "";
    const few = Array.from(run.slice(0, 2 * runs)).slice(0, runs);
    return !budget || budget.work(few.length) ? few.join("") : "";
  });
}
