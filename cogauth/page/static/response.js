// The answer of a call, and why it was refused.

import { LOST } from "./api.js";
import { byId, el, errorBox, foreign, timeOrText, withCommands } from "./dom.js";

// Longer bodies would make the page slow.
const SHOWN = 200_000;

const box = () => byId("response");

export function emptyResponse() {
  box().replaceChildren(el("p", { class: "empty" }, "No calls yet. Choose a method, and press Send: the answer appears here."));
}

export function waiting() {
  box().setAttribute("aria-busy", "true");
  const empty = box().querySelector(".empty");
  if (empty) empty.textContent = "Waiting for the answer…";
}

/** Show an answer, or why there is none, and below it why the call was refused. */
export function showResponse(made, as) {
  box().removeAttribute("aria-busy");
  if (made.problem) {
    const said = LOST.has(made.problem.code) ? el("p", { class: "hint" }, "The top of the page says why.") : errorBox(made.problem);
    box().replaceChildren(el("h3", {}, "No answer"), said);
    return;
  }
  const answer = made.answer;
  box().replaceChildren(
    ...[
      head(answer),
      el("p", { class: "sent mono" }, `${made.sent.method} `, foreign(answer.url)),
      el("p", { class: "hint" }, "Sent as: ", foreign(as)),
      answer.notes?.length ? el("ul", { class: "notes" }, answer.notes.map((note) => el("li", {}, withCommands(note)))) : null,
      headers(answer.headers ?? {}),
      body(answer),
      answer.refused ? why(made.why) : null,
    ].filter(Boolean),
  );
}

function head(answer) {
  const kind = answer.status < 300 ? "exists" : answer.status < 400 ? "unfinished" : "missing";
  return el("div", { class: "response-head", role: "status" },
    el("span", { class: `chip status-chip ${kind}` }, `${answer.status} ${answer.reason ?? ""}`.trim()),
    el("span", { class: "muted" }, `${answer.elapsed_ms} ms`));
}

function headers(given) {
  const entries = Object.entries(given);
  return el("details", { class: "headers" },
    el("summary", {}, `${entries.length} header${entries.length === 1 ? "" : "s"}`),
    el("dl", { class: "pairs" }, entries.map(([name, value]) =>
      el("div", {}, el("dt", { class: "mono" }, foreign(name)), el("dd", { class: "mono" }, foreign(value))))));
}

function body(answer) {
  const text = String(answer.body ?? "");
  if (!text) return el("p", { class: "hint" }, "The body is empty.");
  const cut = text.length > SHOWN;
  return el("div", {},
    el("p", { class: "label" }, answer.is_json ? "Body (JSON)" : "Body"),
    el("pre", { class: "body", tabindex: "0", role: "group", "aria-label": "Body" }, cut ? text.slice(0, SHOWN) : text),
    cut ? el("p", { class: "hint" }, `The first ${SHOWN} of ${text.length} characters.`) : null);
}

function why(known) {
  const made = el("div", { class: "why", "aria-live": "polite" }, el("h3", {}, "Why"));
  if (!known) {
    made.append(el("p", { class: "hint looking" }, "Looking for the cause…"));
  } else if (known.problem) {
    made.append(LOST.has(known.problem.code) ? el("p", {}, "The cause could not be found.") : errorBox(known.problem));
  } else {
    const { cause, message, fix, notes, facts } = known.found;
    made.append(...[
      el("p", {}, withCommands(message)),
      fix ? el("p", {}, el("strong", {}, "Fix: "), withCommands(fix)) : null,
      notes?.length ? el("ul", { class: "notes" }, notes.map((note) => el("li", {}, withCommands(note)))) : null,
      el("details", {}, el("summary", {}, "What was looked at"),
        el("dl", { class: "pairs" }, [["cause", cause], ...Object.entries(facts ?? {})].map(([name, value]) =>
          el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, foreign(timeOrText(value))))))),
    ].filter(Boolean));
  }
  return made;
}
