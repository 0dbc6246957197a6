// Starts the regions, asks for the stack's status, and says when the server or the stack is gone.

import { get, hear, tell } from "./api.js";
import { startCall } from "./call.js";
import { byId, command, el, withCommands } from "./dom.js";
import { startGuard } from "./guard.js";
import { startLogs } from "./logs.js";
import { startSignIn } from "./signin.js";
import { showStackError, showStatus, startStack } from "./stack.js";
import { startUsers } from "./users.js";

const POLL_MS = 15000;
// How often to look whether a server that has ended is back.
const RETRY_MS = 3000;

// By the reason why the page is of no use, the command that helps.
const REMEDIES = { gone: "page", session: "page", no_stack: "up" };

let stack = null;
// The pool's id. A stack that was taken down and made again has another one.
let pool = null;
let lostAs = null;
let asking = null;

async function loadStack() {
  try {
    stack = await get("/api/stack");
  } catch {
    return;
  }
  document.title = `cogauth: ${stack.stack}`;
  byId("stack-name").textContent = stack.stack;
  byId("place").textContent = stack.place;
  byId("where").textContent = stack.is_local ? "local" : "AWS";
  byId("where").hidden = false;
  tell("stack", stack);
}

/** Ask for the status, at most once at a time. */
function loadStatus() {
  asking ??= get("/api/status")
    .then((status) => {
      showStatus(status, stack);
      tell("status", status);
      checkReplaced(status);
    })
    .catch((problem) => showStackError(problem))
    .finally(() => (asking = null));
  return asking;
}

async function checkReplaced(status) {
  const now = status.steps.find((one) => one.step === "user_pool")?.id ?? null;
  const replaced = pool !== null && now !== null && pool !== now;
  pool = now ?? pool;
  if (!replaced) return;
  await loadStack();
  tell("replaced");
  tell("back");
}

async function poll() {
  if (document.hidden) return;
  if (!stack || lostAs) await loadStack();
  if (!lostAs || lostAs.code === "no_stack") await loadStatus();
}

function showLost(problem) {
  if (lostAs?.code === problem.code) return;
  lostAs = problem;
  const banner = byId("banner");
  const remedy = REMEDIES[problem.code];
  // Of a stack that the page never saw, it doesn't know the command's options.
  const run = stack?.commands[remedy] ?? (remedy === "page" ? "cogauth page" : null);
  const hint = run && remedy === "up" ? "If it was deleted, this recreates it:" : problem.hint;
  banner.replaceChildren(
    el("div", { class: "banner-text" }, el("strong", {}, withCommands(problem.message)), " ", el("span", {}, withCommands(hint))),
    ...(run ? [command(run)] : []),
  );
  banner.hidden = false;
  // Others may notice first, and the picture would still show a stack.
  if (problem.code === "no_stack") loadStatus();
}

/** An answer of the server ends the banner, unless the answer says nothing about the reason. */
function showFound(path) {
  if (!lostAs) return;
  // Only the status knows that a stack is there again.
  if (lostAs.code === "no_stack" && path !== "/api/status") return;
  lostAs = null;
  byId("banner").hidden = true;
  byId("banner").replaceChildren();
  tell("back");
}

function start() {
  // The key in the URL was used; it must not stay in the history.
  history.replaceState(null, "", "/");
  hear("lost", showLost);
  hear("found", showFound);
  hear("changed", loadStatus);
  for (const each of [startStack, startSignIn, startCall, startGuard, startUsers, startLogs]) each();
  loadStack();
  loadStatus();
  setInterval(poll, POLL_MS);
  setInterval(() => lostAs?.code === "gone" && !document.hidden && loadStack(), RETRY_MS);
  hear("back", loadStatus);
  document.addEventListener("visibilitychange", poll);
  // Escape hides the meaning that hovering shows.
  document.addEventListener("keydown", (event) => document.body.classList.toggle("no-hints", event.key === "Escape"));
  document.addEventListener("pointermove", () => document.body.classList.remove("no-hints"), { passive: true });
}

start();
