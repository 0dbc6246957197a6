// Signing in, who is signed in, and until when.

import { LOST, get, hear, post, postSecret, tell } from "./api.js";
import { busy, button, byId, el, errorBox, foreign, notice, showError, showFailure, withCommands } from "./dom.js";
import { showTokens } from "./tokens.js";

const SOON_S = 5 * 60;

let sessions = [];
let chosen = null;
// The server's clock minus this page's monotonic one: the computer's own clock may be wrong.
let offset = 0;
let failed = false;

/** The user whose tokens Call sends. */
export const currentUser = () => sessions.find((one) => one.username === chosen) ?? null;

const now = () => performance.now() / 1000 + offset;

export function startSignIn() {
  byId("sign-in-form").addEventListener("submit", submitted);
  byId("username").addEventListener("input", () => askNewPassword(false));
  hear("stack", (stack) => {
    byId("sign-in-hint").textContent = hintOf(stack);
  });
  hear("back", loadSessions);
  hear("users-changed", loadSessions);
  hear("status", () => failed && loadSessions());
  setInterval(tick, 1000);
  // Meanwhile someone may have signed in by the command line.
  document.addEventListener("visibilitychange", () => document.hidden || loadSessions());
  loadSessions();
}

function hintOf(stack) {
  const rule = stack.password_policy ? ` Passwords: ${stack.password_policy}.` : "";
  if (stack.sign_up === "open") return `Sign-up is open: a new name makes a new user.${rule}`;
  if (stack.sign_up === "closed") return `Sign-up is closed: only users that exist can sign in.${rule}`;
  return rule.trim();
}

async function loadSessions() {
  try {
    const asked = performance.now() / 1000;
    const answer = await get("/api/sessions");
    offset = answer.now - asked;
    const same = JSON.stringify(sessions) === JSON.stringify(answer.sessions);
    sessions = answer.sessions;
    if (same && currentUser() && !failed) return;
    failed = false;
  } catch (problem) {
    byId("sessions").removeAttribute("aria-busy");
    failed = true;
    if (LOST.has(problem.code)) {
      if (!currentUser()) byId("sessions").replaceChildren(el("p", { class: "empty" }, "Who is signed in could not be read."));
      return;
    }
    sessions = [];
    showError(byId("sessions"), problem);
    tell("sessions");
    return;
  }
  if (!currentUser()) chosen = sessions[0]?.username ?? null;
  showSessions();
  tell("sessions");
}

async function submitted(event) {
  event.preventDefault();
  const name = byId("username");
  const password = byId("password");
  const fresh = byId("new-password");
  const empty = [name, password, fresh].find((field) => field && !field.value);
  if (empty) {
    showResult(errorBox({ message: `${empty.labels[0].textContent} is empty.` }));
    empty.focus();
    return;
  }
  const body = { username: name.value, password: password.value };
  if (fresh) body.new_password = fresh.value;
  await busy(byId("sign-in-button"), () => signIn(body));
}

async function signIn(body) {
  let answer;
  try {
    answer = await postSecret("/api/sign-in", body);
  } catch (problem) {
    showFailure(byId("sign-in-result"), problem);
    return;
  }
  const said = resultOf(answer, body.username);
  showResult(said);
  if (answer.status === "success") {
    byId("password").value = "";
    // The field that has the focus goes away.
    if (body.new_password) said.focus();
    askNewPassword(false);
    chosen = body.username;
    await loadSessions();
    tell("changed");
    if (answer.is_new) tell("users-made");
  } else if (answer.code === "new_password_required") {
    askNewPassword(true);
  } else if (answer.http_status >= 500) {
    // Something of the stack may be gone.
    tell("changed");
  }
}

function showResult(...made) {
  byId("sign-in-result").replaceChildren(...made);
}

function resultOf(answer, username) {
  const done = answer.status === "success";
  const made = answer.is_new ? " This sign-in created the user." : answer.is_new === false ? " The user existed before." : "";
  const facts = [
    ["HTTP status", answer.http_status],
    ["msg", answer.msg],
    ["code", answer.code],
    ["user id", answer.user_id],
  ].filter(([, value]) => value !== null && value !== undefined);
  const said = notice(done ? "ok" : "bad", done ? el("strong", {}, foreign(username), " is signed in.") : el("strong", {}, "The sign-in of ", foreign(username), " was refused."), made);
  if (!done) said.setAttribute("role", "alert");
  said.tabIndex = -1;
  // The facts have the message and the code already.
  const problem = answer.problem?.split(`${answer.msg} (${answer.code}).`).at(-1).trim();
  said.append(
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, foreign(value))))),
    ...(problem ? [el("p", {}, withCommands(problem))] : []));
  return said;
}

/** Show or take away the field for the password that replaces a temporary one. */
function askNewPassword(wanted) {
  const slot = byId("new-password-slot");
  slot.hidden = !wanted;
  if (!wanted) {
    slot.replaceChildren();
    return;
  }
  if (!byId("new-password")) {
    slot.replaceChildren(
      el("label", { for: "new-password" }, "New password"),
      el("input", { id: "new-password", type: "password", autocomplete: "new-password", required: true, "aria-describedby": "new-password-hint sign-in-hint" }),
      el("p", { class: "hint", id: "new-password-hint" }, "It replaces the temporary password. Press Sign in again to set it."),
    );
  }
  byId("new-password").focus();
}

function showSessions() {
  const box = byId("sessions");
  box.removeAttribute("aria-busy");
  const user = currentUser();
  if (!user) {
    box.replaceChildren(el("p", { class: "empty" }, "Nobody is signed in. Sign in, and the tokens are shown here, taken apart."));
    return;
  }
  const kept = ["signed-in-as", "renew", "sign-out"].includes(document.activeElement?.id) ? document.activeElement.id : null;
  box.replaceChildren(switcher(), expired(), el("div", { id: "session-message", class: "slot", "aria-live": "polite" }), el("div", { class: "tokens", id: "tokens" }));
  showTokens(byId("tokens"), user);
  tick();
  if (kept) byId(kept).focus();
}

function switcher() {
  const select = el("select", { id: "signed-in-as" }, sessions.map((one) => el("option", { value: one.username }, one.username)));
  select.value = chosen;
  select.addEventListener("change", () => {
    chosen = select.value;
    showResult();
    showSessions();
    tell("sessions");
  });
  return el("div", { class: "switcher" },
    el("div", { class: "field grow" }, el("label", { for: "signed-in-as" }, "Signed in as"), select),
    el("p", { id: "countdown", class: "countdown", role: "timer" }),
    el("div", { class: "actions" },
      button("Renew", (event) => busy(event.currentTarget, renew), { id: "renew" }),
      button("Sign out", (event) => busy(event.currentTarget, signOut), { id: "sign-out" })));
}

function expired() {
  return el("p", { id: "expired", class: "hint", hidden: true }, "The guard refuses expired tokens. Renew them, or sign in again.");
}

async function renew() {
  try {
    await post("/api/renew", { username: chosen });
  } catch (problem) {
    showFailure(byId("session-message"), problem);
    return;
  }
  await loadSessions();
  byId("session-message")?.replaceChildren(notice("ok", "Renewed. These are new tokens."));
}

async function signOut() {
  const username = chosen;
  try {
    await post("/api/sign-out", { username });
  } catch (problem) {
    showFailure(byId("session-message"), problem);
    return;
  }
  chosen = null;
  await loadSessions();
  byId("username").focus();
  showResult(notice("",
    el("strong", {}, foreign(username), " is signed out. "),
    "The refresh token was revoked, and this computer forgot the tokens. API Gateway still accepts the ID and access tokens until they expire."));
}

function tick() {
  const line = byId("countdown");
  const user = currentUser();
  if (!line || !user) return;
  const [kind, text] = remaining(user.expires);
  if (line.textContent !== text) line.textContent = text;
  line.className = `countdown ${kind}`;
  byId("expired").hidden = kind !== "bad";
}

function remaining(expires) {
  if (expires === null || expires === undefined) return ["", "When the tokens expire is not known"];
  const left = Math.floor(expires - now());
  if (left <= 0) return ["bad", "✗ expired"];
  const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
  const text = parts.slice(parts[0] ? 0 : 1).map((one) => String(one).padStart(2, "0")).join(":");
  return left < SOON_S ? ["soon", `expires soon: ${text}`] : ["fine", `expires in ${text}`];
}
