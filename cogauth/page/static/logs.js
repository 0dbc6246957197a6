// The latest lines of the sign-in function, following.

import { LOST, hear, lines } from "./api.js";
import { byId, chip, clock, el, foreign, showError } from "./dom.js";

const OUTCOMES = new Map([["success", ["exists", "✓ success"]], ["fail", ["missing", "✗ fail"]]]);
const KEPT = 500;
// The pause before reading again, longer after each error.
const PAUSE_MS = 3000;
const LONGEST_MS = 30000;
// So near to the end, the reader wants to see what comes.
const NEAR_PX = 40;

let following = null;
let again = null;
let pauseMs = PAUSE_MS;
// Lines come again after a pause; time and text tell them apart.
let seen = new Set();
let waitingLines = [];

export function startLogs() {
  byId("logs-routine").addEventListener("change", () => {
    byId("logs-list").classList.toggle("with-routine", byId("logs-routine").checked);
    showEmpty();
    toEnd();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : follow()));
  hear("back", follow);
  hear("replaced", () => {
    pause();
    clear();
    if (!document.hidden) follow();
  });
  if (!document.hidden) follow();
}

function pause() {
  clearTimeout(again);
  following?.abort();
  following = null;
  say("Paused while this tab is hidden");
}

/** Forget the lines: they are of a stack that was taken down. */
function clear() {
  seen = new Set();
  waitingLines = [];
  byId("logs-list").replaceChildren();
  showEmpty();
}

function say(text) {
  byId("logs-state").textContent = text;
}

async function follow() {
  if (following) return;
  clearTimeout(again);
  const mine = (following = new AbortController());
  say("Connecting…");
  try {
    for await (const message of lines("/api/logs", { signal: mine.signal })) {
      say(message.lost ? `Interrupted: ${message.lost}` : "Following");
      if (message.line || message.alive) {
        byId("logs-error").replaceChildren();
        pauseMs = PAUSE_MS;
      }
      if (message.line) take(message.line);
    }
    say("Reconnecting…");
  } catch (problem) {
    if (mine.signal.aborted) return;
    say("Interrupted");
    if (LOST.has(problem.code)) {
      // The banner says so, and "back" comes when it's over.
      following = null;
      return;
    }
    showError(byId("logs-error"), problem);
    pauseMs = Math.min(pauseMs * 2, LONGEST_MS);
  }
  if (following !== mine) return;
  following = null;
  again = setTimeout(follow, pauseMs);
}

/** Collect the lines of a moment: the first answer may have a thousand. */
function take(line) {
  const key = `${line.time} ${line.message}`;
  if (seen.has(key)) return;
  seen.add(key);
  if (!waitingLines.length) setTimeout(flush, 50);
  waitingLines.push(line);
}

function flush() {
  const box = byId("logs-box");
  const list = byId("logs-list");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
  const taken = waitingLines;
  waitingLines = [];
  list.append(...taken.slice(-KEPT).map(item));
  while (list.children.length > KEPT) list.firstElementChild.remove();
  if (seen.size > 4 * KEPT) seen = new Set([...seen].slice(-KEPT));
  showEmpty();
  if (atEnd) toEnd();
}

function showEmpty() {
  const some = byId("logs-list").querySelector(byId("logs-routine").checked ? "li" : "li:not(.routine)");
  byId("logs-empty").hidden = Boolean(some);
}

function toEnd() {
  byId("logs-box").scrollTop = byId("logs-box").scrollHeight;
}

function item(line) {
  const { outcome, code } = line.record ?? {};
  const known = OUTCOMES.get(outcome);
  return el("li", { class: line.routine ? "routine" : "" },
    el("time", { datetime: line.time, class: "muted" }, clock(line.time)),
    el("span", { class: "log-about" },
      known ? chip(known[0], known[1]) : null,
      typeof code === "string" ? el("span", { class: "log-code" }, foreign(code)) : null),
    foreign(line.message, { class: "log-message" }));
}
