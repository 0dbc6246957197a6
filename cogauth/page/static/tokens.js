// The tokens of a user, taken apart.

import { TIMES, headerMeaningOf, meaningOf } from "./claims.js";
import { dateTime, el, foreign, shown } from "./dom.js";

const EXPLAINED = "explain-claims";
const VERIFIED = new Map([
  [true, ["exists", "✓ verified"]],
  [false, ["missing", "✗ not verified"]],
]);

let explained = false;

export function showTokens(place, user) {
  const choice = el("input", { type: "checkbox", id: EXPLAINED });
  choice.checked = explained;
  choice.addEventListener("change", () => {
    explained = choice.checked;
    place.classList.toggle("explained", explained);
  });
  place.classList.toggle("explained", explained);
  place.replaceChildren(
    el("label", { class: "check" }, choice, " Say what each claim means"),
    token("ID token", "says who the user is", user.id),
    token("Access token", "says what the user may do", user.access),
  );
}

function token(name, purpose, parts) {
  if (!parts) return el("div", { class: "token" }, el("h3", {}, name), el("p", { class: "hint" }, "There is none."));
  const [kind, text] = VERIFIED.get(parts.verified) ?? ["", "? not checked"];
  const reason = parts.why ? ` ${parts.why}` : "";
  return el("div", { class: "token" },
    el("div", { class: "token-head" },
      el("h3", {}, name, " ", el("span", { class: "muted" }, purpose)),
      el("span", { class: `chip ${kind}` }, text)),
    reason ? el("p", { class: "hint" }, reason) : null,
    claims("Header", parts.header, headerMeaningOf),
    claims("Claims", parts.claims, meaningOf));
}

function claims(title, given, meaning) {
  const entries = Object.entries(given ?? {});
  return el("div", {},
    el("h4", {}, title),
    el("dl", {}, entries.map(([name, value]) =>
      el("div", { class: "claim" },
        el("dt", { class: "mono" }, foreign(name)),
        el("dd", {},
          el("span", { class: "mono value" }, foreign(shown(value))),
          TIMES.has(name) && typeof value === "number" ? el("span", { class: "muted" }, ` ${dateTime(value)}`) : null,
          el("span", { class: "meaning" }, el("span", { class: "unseen" }, ". "), meaning(name)))))));
}
