// The checks of the guard, whose rows arrive one by one.

import { hear, postLines, tell } from "./api.js";
import { busy, byId, chip, command, el, foreign, notice, showFailure, table, withCommands } from "./dom.js";

const RESULTS = new Map([
  [true, ["exists", "✓ ok"]],
  [false, ["missing", "✗ differs"]],
  [null, ["", "– skipped"]],
]);

let commands = {};

export function startGuard() {
  hear("stack", (stack) => (commands = stack.commands));
  byId("run-checks").addEventListener("click", () => busy(byId("run-checks"), run));
  byId("checks").replaceChildren(el("p", { class: "empty" }, "No checks yet. Run them after a change to the stack, or when a call is answered in a way you don’t expect."));
}

async function run() {
  const { made, add } = table("Checks", ["Result", "Check", "Sent", "Expected", "Got", "Note"], { class: "checks-table" });
  const progress = el("p", { class: "hint looking" }, "Running the checks…");
  byId("checks").replaceChildren(made, progress);
  byId("checks-done").replaceChildren();
  let ended = false;
  try {
    for await (const line of postLines("/api/verify")) {
      if (line.row) add(cells(line.row), { class: line.row.ok === false ? "differs" : "" });
      if (line.done) {
        ended = true;
        byId("checks-done").replaceChildren(summary(line.done));
      }
    }
    if (!ended) throw { message: "The checks ended early.", hint: null };
  } catch (problem) {
    showFailure(byId("checks-done"), problem);
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
  const [kind, word] = verdict(done);
  const more = [done.left, done.missing].filter((one) => typeof one === "string" && one);
  const said = notice(kind, el("strong", {}, word), ` ${counts}.`);
  said.append(...more.map((one) => el("p", {}, withCommands(one))));
  if (done.closed) said.append(...withOwnUser());
  return said;
}

function verdict(done) {
  if (done.failed) return ["bad", "The guard differs from what it must do."];
  if (!done.ok) return ["bad", "The guard could not be checked completely."];
  // Without a user there was no token to check.
  if (done.closed) return ["", "Sign-up is closed, so the checks with a user could not be made."];
  return ["ok", "The guard does what it must."];
}

function withOwnUser() {
  const run = commands["test-login"];
  return [
    el("p", {}, "The checks make a user of their own, which a closed sign-up doesn’t allow. This checks sign-in and guard with a user of yours:"),
    ...(run ? [command(run)] : []),
  ];
}
