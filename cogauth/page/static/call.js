// Calling a method: what to send, as whom, and the requests of this visit.

import { get, hear, post, tell } from "./api.js";
import { busy, byId, chip, clock, copy, copyButton, el, errorBox, foreign, showError, showFailure, withCommands } from "./dom.js";
import { emptyResponse, showResponse, waiting } from "./response.js";
import { currentUser } from "./signin.js";

const VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const WITHOUT_BODY = new Set(["GET", "HEAD"]);
const KEPT = 50;
// The causes that lie in what was sent, not in the stack.
const OF_SENDER = new Set(["none", "no_header", "bad_signature", "access_token", "id_token", "scope_missing", "expired"]);
const TOKENS = { id: "ID token", access: "access token", none: "no token", tampered: "tampered token" };

// The methods, by what the select holds for each.
let choices = new Map();
let listed = null;
let servedAs = null;
let failed = false;
// What was typed for parameters of a name stays when another method has them too.
const typed = new Map();
const visits = [];
let visit = null;

export function startCall() {
  byId("method").addEventListener("change", () => showMethod());
  byId("verb").addEventListener("change", showBodyField);
  byId("body").addEventListener("input", checkBody);
  byId("token").addEventListener("change", showTokenHint);
  byId("call-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(byId("send"), send);
  });
  byId("curl").addEventListener("click", () => busy(byId("curl"), showCurl));
  hear("sessions", showTokenHint);
  hear("back", loadMethods);
  hear("status", (status) => {
    // What is served may have changed with the deployment or an attached API.
    const now = JSON.stringify([status.deployed, status.attached, status.condition]);
    if (failed || (servedAs !== null && servedAs !== now)) loadMethods();
    servedAs = now;
  });
  emptyResponse();
  showTokenHint();
  loadMethods();
}

async function loadMethods() {
  let apis;
  try {
    apis = (await get("/api/methods")).apis;
  } catch (problem) {
    failed = true;
    if (listed === null) byId("method").replaceChildren(el("option", {}, "The methods could not be read"));
    showError(byId("methods-error"), problem);
    return;
  }
  failed = false;
  const unread = apis.filter((api) => api.problem);
  if (!unread.length) byId("methods-error").replaceChildren();
  if (listed === JSON.stringify(apis)) return;
  listed = JSON.stringify(apis);
  byId("methods-error").replaceChildren(
    ...unread.map((api) => errorBox({ message: `${api.name}, stage ${api.stage}: ${api.problem}` })),
  );
  const select = byId("method");
  const before = select.value;
  choices = new Map(apis.flatMap((api) => api.methods.map((method) => [keyOf(api, method), { api, method }])));
  select.replaceChildren(...apis.flatMap(groups));
  const some = Boolean(choices.size);
  if (some) select.value = choices.has(before) ? before : guardedFirst();
  else select.append(el("option", {}, "No method"));
  select.disabled = !some;
  byId("send").disabled = byId("curl").disabled = !some;
  showMethod();
}

/** The options of a stage, under what guards them: an option has room only for its method. */
function groups(api) {
  const byGuard = Map.groupBy(api.methods, (one) => one.guard);
  return [...byGuard].map(([guard, methods]) =>
    el("optgroup", { label: `${api.name}, stage ${api.stage}: ${guard}` },
      methods.map((one) => el("option", { value: keyOf(api, one) }, `${nameOf(api, one)} ${one.path}`))));
}

const keyOf = (api, method) => JSON.stringify([api.api, api.stage, method.method, method.path, method.any]);

/** The verbs that an ANY method of a path takes: the others have methods of their own. */
function verbsOf(api, method) {
  const taken = api.methods.filter((one) => !one.any && one.path === method.path).map((one) => one.method);
  return VERBS.filter((one) => !taken.includes(one));
}

function nameOf(api, method) {
  return method.any && !verbsOf(api, method).includes("GET") ? "ANY" : method.method;
}

/** The first choice is what the page is for: a guarded method, if possible the stack's own. */
function guardedFirst() {
  const keys = [...choices.keys()];
  return keys.find((key) => choices.get(key).method.guarded) ?? keys[0];
}

const selected = () => choices.get(byId("method").value) ?? {};

function verb(method) {
  return method.any ? byId("verb").value : method.method;
}

function showMethod() {
  const { api, method } = selected();
  byId("verb-field").hidden = !method?.any;
  if (method?.any) showVerbs(verbsOf(api, method));
  showGuard(method);
  showParameters(method?.parameters ?? []);
  showBodyField();
}

function showVerbs(verbs) {
  const select = byId("verb");
  const before = select.value;
  select.replaceChildren(...verbs.map((one) => el("option", {}, one)));
  if (verbs.includes(before)) select.value = before;
}

function showGuard(method) {
  if (!method) {
    byId("guard").replaceChildren("No stage serves a method. ", ...withCommands("'cogauth up' deploys the stack."));
    return;
  }
  const mark = method.guarded ? chip("exists", "✓ guarded") : chip("changed", "○ not guarded");
  const scopes = method.scopes?.length ? `. It takes access tokens with a scope of: ${method.scopes.join(", ")}` : "";
  byId("guard").replaceChildren(mark, el("span", {}, "What guards it: ", foreign(method.guard), scopes));
}

function showParameters(names) {
  const row = byId("parameters");
  row.hidden = !names.length;
  row.replaceChildren(...names.map((name, i) => {
    const input = el("input", { id: `parameter-${i}`, class: "mono", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    input.value = typed.get(name) ?? "";
    input.dataset.name = name;
    input.addEventListener("input", () => typed.set(name, input.value));
    return el("div", { class: "field grow" }, el("label", { for: input.id }, name), input);
  }));
}

function showBodyField() {
  const { method } = selected();
  byId("body-field").hidden = !method || WITHOUT_BODY.has(verb(method));
  checkBody();
}

function checkBody() {
  const text = byId("body").value;
  let valid = true;
  try {
    if (text.trim()) JSON.parse(text);
  } catch {
    valid = false;
  }
  byId("body-hint").hidden = valid;
}

const token = () => document.querySelector('input[name="token"]:checked').value;

function showTokenHint() {
  const user = currentUser();
  byId("token-hint").textContent = token() === "none"
    ? "The request carries no token."
    : user
      ? `Sent as ${user.username}${token() === "tampered" ? ", changed so that the signature is wrong" : ""}.`
      : "Nobody is signed in: sign in first, or choose None.";
}

/** The request as the form says; throws a problem if it can't be sent. */
function request() {
  const { api, method } = selected();
  const inputs = [...byId("parameters").querySelectorAll("input")];
  const empty = inputs.find((input) => !input.value);
  if (empty) throw refusal(empty, `The path parameter ${empty.dataset.name} is empty.`, "It is a part of the path.");
  const used = verb(method);
  const body = byId("body").value;
  const user = currentUser();
  if (token() !== "none" && !user) {
    throw refusal(document.querySelector('input[name="token"]:checked'), "Nobody is signed in.", "Sign in first, or choose None.");
  }
  return {
    api: api.api,
    stage: api.stage,
    method: used,
    path: method.path,
    parameters: Object.fromEntries(inputs.map((input) => [input.dataset.name, input.value])),
    query: byId("query").value.replace(/^\?/, ""),
    headers: headers(),
    body: WITHOUT_BODY.has(used) || !body.trim() ? null : body,
    token: token(),
    username: user?.username ?? null,
  };
}

function headers() {
  const field = byId("headers");
  return field.value.split("\n").filter((line) => line.trim()).map((line) => {
    const [, name, value] = /^\s*([^:\s]+)\s*:(.*)$/.exec(line) ?? [];
    if (!name) throw refusal(field, `The header '${line.trim()}' has no colon after a name.`, "Write one header a line: 'Name: value'.");
    return [name, value.trim()];
  });
}

function refusal(field, message, hint) {
  field.focus();
  return { message, hint };
}

async function send() {
  byId("curl-slot").replaceChildren();
  let sent;
  try {
    sent = request();
  } catch (problem) {
    byId("call-error").replaceChildren(errorBox(problem));
    return;
  }
  byId("call-error").replaceChildren();
  waiting();
  const made = { sent, path: filled(sent), form: form(), at: new Date(), answer: null, problem: null, why: null };
  const base = selected().api.url;
  try {
    made.answer = await post("/api/call", sent);
    made.path = pathOf(made.answer.url, base);
  } catch (problem) {
    made.problem = problem;
    if (problem.code === "incomplete") tell("changed");
  }
  visits.unshift(made);
  visits.length = Math.min(visits.length, KEPT);
  show(made);
  // Another call may be sent meanwhile.
  if (made.answer?.refused) explain(made);
}

/** The path as it is sent, as far as is known before. */
function filled({ path, parameters, query }) {
  const whole = path.replace(/\{([^}]*)\}/g, (_all, name) =>
    name.endsWith("+") ? parameters[name].split("/").map(encodeURIComponent).join("/") : encodeURIComponent(parameters[name]));
  return query ? `${whole}?${query}` : whole;
}

/** The path of a URL within its stage. */
function pathOf(url, stage) {
  return url.startsWith(stage) ? `/${url.slice(stage.length).replace(/^\//, "")}` : url;
}

async function explain(made) {
  try {
    made.why = { found: await post("/api/explain", made.sent) };
    // The stack may have been changed since its status was read.
    if (!OF_SENDER.has(made.why.found.cause)) tell("changed");
  } catch (problem) {
    made.why = { problem };
  }
  // Meanwhile another request of the list may have been chosen.
  if (visit === made) show(made);
}

function show(made) {
  visit = made;
  showResponse(made, sender(made));
  showHistory();
}

function sender({ sent }) {
  return sent.username && sent.token !== "none" ? `${sent.username}, ${TOKENS[sent.token]}` : TOKENS[sent.token];
}

/** What the form holds, to restore it. */
function form() {
  const fields = ["method", "verb", "query", "headers", "body"].map((id) => [id, byId(id).value]);
  return { fields, typed: new Map(typed), token: token() };
}

function restore(made) {
  for (const [name, value] of made.form.typed) typed.set(name, value);
  for (const [id, value] of made.form.fields) {
    // The method, or the verb, may be gone meanwhile.
    if (byId(id).localName !== "select" || [...byId(id).options].some((one) => one.value === value)) byId(id).value = value;
    // The method decides which verbs there are, and whether there is a body.
    if (id === "method" || id === "verb") showMethod();
  }
  checkBody();
  document.querySelector(`input[name="token"][value="${made.form.token}"]`).checked = true;
  showTokenHint();
  byId("call-error").replaceChildren();
  byId("curl-slot").replaceChildren();
  show(made);
}

function showHistory() {
  const list = byId("history-list");
  byId("history").hidden = !visits.length;
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...visits.map((made) => {
    const status = made.answer ? `${made.answer.status}` : "failed";
    const item = el("button", { type: "button", class: "history-item", "aria-current": made === visit ? "true" : null },
      el("span", { class: "mono history-path" }, `${made.sent.method} `, foreign(made.path)), " ",
      el("span", { class: "muted" }, foreign(sender(made))), " ",
      el("span", { class: "muted" }, clock(made.at)), " ",
      chip(made.answer && made.answer.status < 400 ? "exists" : "missing", status));
    item.addEventListener("click", () => restore(made));
    return el("li", {}, item);
  }));
  if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
}

async function showCurl() {
  const slot = byId("curl-slot");
  let text;
  try {
    text = (await post("/api/curl", request())).command;
  } catch (problem) {
    showFailure(slot, problem);
    return;
  }
  const done = await copy(text);
  const field = el("textarea", { id: "curl-command", class: "mono", rows: "3", readonly: true, spellcheck: "false" });
  field.value = text;
  field.addEventListener("focus", () => field.select());
  slot.replaceChildren(el("div", { class: "field" },
    el("div", { class: "field-head" },
      el("label", { for: "curl-command" }, "Command for the terminal"),
      copyButton(() => text, "Copy the command")),
    field,
    el("p", { class: "hint" }, `${done ? "Copied." : "The browser did not allow copying: select it and copy it."} It contains no token${byId("body-field").hidden || !byId("body").value ? "" : ", but the body that you typed"}.`)));
}
