// The stack: its picture, its steps with their details, and what is attached to it.

import { LOST } from "./api.js";
import { byId, button, chip, command, dateTime, el, foreign, showError, shown } from "./dom.js";

const SYMBOLS = { exists: "✓", missing: "✗", changed: "~", unfinished: "…", stale: "↻", complete: "✓", incomplete: "…", drifted: "~" };
// The status whose colour a condition has.
const COLOURS = { complete: "exists", incomplete: "unfinished", drifted: "changed" };
// The boxes and the legend. The lines above and below are on the page as text.
const VIEW = "4 64 792 506";
const BESIDE = window.matchMedia("(min-width: 1100px)");

let steps = [];
let latest = null;
let drawn = null;
let opener = null;
// The step whose details are shown, as it was when they were filled.
let chosen = null;

// The picture calls a step that stands as it should "exists".
const statusOf = (step) => (step.status === "stands" ? "exists" : step.status);

export function showStackError(problem) {
  showError(byId("stack-error"), problem);
  byId("stack-view").removeAttribute("aria-busy");
  // After other errors the last picture is still the best that is known.
  if (problem.code === "no_stack") forget();
  if (drawn === null) {
    const again = LOST.has(problem.code) ? "" : " The page tries again every 15 seconds.";
    const said = `The status could not be read.${again}`;
    // Only one of the two is shown, by the width of the screen.
    byId("picture").replaceChildren(el("p", { class: "empty" }, said));
    byId("steps").replaceChildren(el("li", { class: "empty" }, said));
    byId("summary").replaceChildren();
  }
}

function forget() {
  drawn = latest = null;
  steps = [];
  byId("condition").hidden = true;
  byId("step-details").close();
}

export function showStatus(status, stack) {
  byId("stack-error").replaceChildren();
  byId("stack-view").removeAttribute("aria-busy");
  // Most polls bring nothing new, and what has the focus stays.
  const said = JSON.stringify([status, stack]);
  if (said === latest) return;
  latest = said;
  steps = status.steps;
  const condition = byId("condition");
  condition.textContent = `${SYMBOLS[status.condition] ?? ""} ${status.condition}`;
  condition.className = `chip ${COLOURS[status.condition] ?? ""}`;
  condition.hidden = false;
  if (drawn !== status.svg) {
    drawPicture(status);
    drawn = status.svg;
  }
  showList();
  showSummary(status, stack);
  refreshDetails();
}

function drawPicture(status) {
  const parsed = new DOMParser().parseFromString(status.svg, "image/svg+xml");
  if (parsed.querySelector("parsererror")) return;
  const svg = document.importNode(parsed.documentElement, true);
  svg.setAttribute("role", "group");
  svg.setAttribute("viewBox", VIEW);
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  svg.removeAttribute("aria-labelledby");
  svg.setAttribute("aria-label", `Picture of the stack ${status.stack}`);
  svg.setAttribute("aria-describedby", "cogauth-desc");
  for (const group of svg.querySelectorAll('g[id^="step-"]')) {
    const step = steps.find((one) => `step-${one.step}` === group.id);
    if (step) makeButton(group, step);
  }
  const picture = byId("picture");
  const focused = picture.contains(document.activeElement) ? document.activeElement.id : null;
  picture.replaceChildren(svg);
  if (focused) byId(focused)?.focus();
}

function makeButton(group, step) {
  group.setAttribute("role", "button");
  group.setAttribute("tabindex", "0");
  group.setAttribute("aria-haspopup", "dialog");
  // The name contains the text as it is seen, so that people who speak to their computer can say it.
  const texts = [...group.querySelectorAll("text")];
  const seen = texts.map((one) => one.textContent.trim()).filter(Boolean).join(" ");
  for (const text of texts) text.after(" ");
  group.setAttribute("aria-label", `${step.title}: ${statusOf(step)}. ${seen}`);
  group.querySelector("title")?.remove();
  group.addEventListener("click", () => open(step.step, group));
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    open(step.step, group);
  });
}

/** The steps as a list, for screens on which the picture would be too small to read. */
function showList() {
  const list = byId("steps");
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.step : null;
  list.replaceChildren(
    ...steps.map((step) => {
      const status = statusOf(step);
      const made = el("button", { type: "button", class: "step-button", "data-step": step.step, "aria-haspopup": "dialog" },
        el("span", {}, step.title), " ", chip(status, `${SYMBOLS[status] ?? ""} ${status}`));
      made.addEventListener("click", () => open(step.step, made));
      return el("li", {}, made);
    }),
  );
  if (focused) list.querySelector(`[data-step="${CSS.escape(focused)}"]`)?.focus();
}

function open(name, from) {
  const step = steps.find((one) => one.step === name);
  if (!step) return;
  opener = from.id || from.dataset.step;
  const dialog = byId("step-details");
  fill(dialog, step);
  mark(name);
  if (dialog.open) dialog.close();
  dialog.classList.toggle("beside", BESIDE.matches);
  if (BESIDE.matches) dialog.show();
  else dialog.showModal();
  dialog.querySelector("h3").focus();
}

function fill(dialog, step) {
  chosen = step;
  dialog.replaceChildren(
    el("div", { class: "card-head" },
      el("h3", { id: "step-title", tabindex: "-1" }, step.title),
      button("Close", () => dialog.close(), { class: "small" })),
    ...details(step),
  );
}

/** The step may have changed since its details were opened. */
function refreshDetails() {
  const dialog = byId("step-details");
  if (!dialog.open) return;
  const step = steps.find((one) => one.step === chosen.step);
  if (!step) {
    dialog.close();
    return;
  }
  mark(step.step);
  if (JSON.stringify(step) === JSON.stringify(chosen)) return;
  chosen = step;
  const { scrollTop } = dialog;
  const inLink = document.activeElement?.localName === "a" && dialog.contains(document.activeElement);
  // The title and the button stay, and keep the focus.
  for (const old of [...dialog.children].slice(1)) old.remove();
  dialog.append(...details(step));
  dialog.scrollTop = scrollTop;
  if (inLink) (dialog.querySelector("a") ?? dialog.querySelector("h3")).focus({ preventScroll: true });
}

function mark(name) {
  for (const group of byId("picture").querySelectorAll(".step")) {
    group.classList.toggle("chosen", group.id === `step-${name}`);
  }
}

function closed() {
  mark(null);
  const from = byId(opener) ?? byId("steps").querySelector(`[data-step="${CSS.escape(opener ?? "")}"]`);
  from?.focus();
}

function details(step) {
  const status = statusOf(step);
  const resources = (step.resources ?? []).map((one) => [one.name, ids(one)]);
  return [
    el("p", {}, chip(status, `${SYMBOLS[status] ?? ""} ${status}`)),
    step.lacks?.length ? el("p", {}, "Missing: ", step.lacks.join(", ")) : null,
    step.changes.length ? changes(step.changes) : null,
    resources.length || step.id ? el("h4", {}, "Names and ids") : null,
    pairs(resources.length ? resources : step.id ? [["id", code(step.id)]] : []),
    step.settings?.length ? el("h4", {}, "Settings") : null,
    pairs((step.settings ?? []).map(([name, value]) => [name, code(shown(value))])),
    step.console_url?.startsWith("https://")
      ? el("p", {}, el("a", { href: step.console_url, target: "_blank", rel: "noopener noreferrer" }, "Open in the AWS console", el("span", { class: "unseen" }, " (new tab)")))
      : null,
  ].filter(Boolean);
}

const code = (text) => foreign(text, { class: "mono" });

function ids(resource) {
  const parts = [resource.id, resource.arn].filter((one, i, all) => one && all.indexOf(one) === i);
  return el("span", { class: "ids" }, parts.length ? parts.map(code) : "–");
}

function pairs(entries) {
  if (!entries.length) return null;
  return el("dl", { class: "pairs" }, entries.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function changes(all) {
  return el("div", {},
    el("h4", {}, "What was changed"),
    el("ul", { class: "changes" }, all.map((one) => el("li", {},
      el("p", { class: "mono field-name" }, one.field),
      pairs([["is", code(shown(one.old))], ["wanted", code(shown(one.new))]])))));
}

function showSummary(status, stack) {
  const made = [
    ["Users", status.users ?? "–"],
    ["Sign-up", status.sign_up ?? "–"],
    ["Deployed", status.deployed ? dateTime(status.deployed) : "not yet"],
    ["Stage", stack?.stage ?? "–"],
    ["Sign-in URL", stack?.sign_in_url ? code(stack.sign_in_url) : "–"],
  ];
  byId("summary").replaceChildren(
    ...(status.next ? [el("div", { class: "next" }, el("h3", {}, "Next step"), command(status.next))] : []),
    pairs(made.map(([name, value]) => [name, typeof value === "number" ? String(value) : value])),
    el("h3", {}, "Attached APIs"),
    ...attached(status.attached, stack),
  );
}

function attached(apis, stack) {
  if (!apis.length) {
    return [
      el("p", { class: "hint" }, "No other API is attached. This lets the stack guard one that you have:"),
      command(stack?.commands?.attach ?? "cogauth attach"),
    ];
  }
  return apis.map((api) =>
    el("div", { class: "attached" },
      el("p", {}, foreign(api.rest_api_name, { class: "strong" }), " ", code(api.rest_api_id), el("span", { class: "muted" }, ` stage ${api.stages.join(", ") || "–"}`)),
      el("ul", { class: "attached-methods" }, api.methods.map(attachedMethod))),
  );
}

function attachedMethod(method) {
  const [kind, text] = method.guarded === true ? ["exists", "✓ guarded"] : method.guarded === false ? ["changed", "○ open"] : ["", "? unknown"];
  return el("li", {},
    el("span", { class: "mono" }, `${method.method} ${method.path}`), " ", chip(kind, text),
    method.note ? el("p", { class: "hint" }, method.note) : null);
}

export function startStack() {
  const dialog = byId("step-details");
  dialog.addEventListener("close", closed);
  // A dialog beside the picture isn't modal, so the browser doesn't close it.
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dialog.open) dialog.close();
  });
  BESIDE.addEventListener("change", () => dialog.open && dialog.close());
}
