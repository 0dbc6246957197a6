// The checks of the guard, whose rows arrive one by one.

import { postLines, tell } from "./api.js";
import { busy, byId, chip, el, errorBox, foreign, notice, table, withCommands } from "./dom.js";

const RESULTS = new Map([
  [true, ["exists", "✓ ok"]],
  [false, ["missing", "✗ differs"]],
  [null, ["", "– skipped"]],
]);

export function startGuard() {
  byId("run-checks").addEventListener("click", () => busy(byId("run-checks"), run));
  byId("checks").replaceChildren(el("p", { class: "empty" }, "No checks yet. Run them after a change to the stack, or when a call is answered in a way you don’t expect."));
}

async function run() {
  const { made, add } = table("Checks", ["Result", "Check", "Sent", "Expected", "Got", "Note"], { class: "stacking checks-table" });
  const progress = el("p", { class: "hint looking" }, "Running the checks…");
  byId("checks").replaceChildren(made, progress);
  byId("checks-done").replaceChildren();
  let ended = false;
  try {
    for await (const line of postLines("/api/verify")) {
      if (line.row) add(cells(line.row), { class: line.row.ok === false ? "differs" : "" });
      if (line.error) throw line.error;
      if (line.done) {
        ended = true;
        byId("checks-done").replaceChildren(summary(line.done));
      }
    }
    if (!ended) throw { message: "The checks ended early.", hint: null };
  } catch (problem) {
    byId("checks-done").replaceChildren(errorBox(problem));
  } finally {
    progress.remove();
    if (!made.tBodies[0].rows.length) made.remove();
    tell("changed");
  }
}

function cells(row) {
  const [kind, text] = RESULTS.get(row.ok) ?? RESULTS.get(null);
  return [
    chip(kind, text),
    el("span", { class: "strong" }, foreign(row.check)),
    el("span", { class: "mono" }, foreign(row.sent)),
    foreign(row.expected),
    foreign(row.got),
    el("span", { class: "muted" }, withCommands(row.note)),
  ];
}

function summary(done) {
  const counts = [`${done.passed} passed`, `${done.failed} failed`, `${done.skipped} skipped`].join(", ");
  const word = done.ok ? "The guard does what it must." : done.failed ? "The guard differs from what it must do." : "The guard could not be checked completely.";
  const more = [done.left, done.missing].filter((one) => typeof one === "string" && one);
  const said = notice(done.ok ? "ok" : "bad", el("strong", {}, word), ` ${counts}.`);
  said.append(...more.map((one) => el("p", {}, withCommands(one))));
  return said;
}
