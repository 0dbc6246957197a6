// Talking to the page's server, and knowing whether it still answers.

// Only the page that the URL's key got has them. A browser keeps them for this tab and this port.
const TOKEN = secret("token");
const PROOF = secret("proof");

function secret(name) {
  const key = `cogauth-${name}`;
  const given = document.querySelector(`meta[name="${key}"]`).content;
  if (given) sessionStorage.setItem(key, given);
  return given || sessionStorage.getItem(key) || "";
}

/** What went wrong, in words for people, with the next step if there is one. */
class Problem extends Error {
  constructor({ code, message, hint }) {
    super(message);
    this.code = code;
    this.hint = hint ?? null;
  }
}

// Of these the banner tells, and no region repeats it.
export const LOST = new Set(["gone", "session", "no_stack"]);

/** Tells the other modules: "stack", "status", "replaced", "changed", "sessions", "users-made",
 * "users-changed", "lost", "found" and "back". */
const bus = new EventTarget();

export function tell(name, detail) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

export function hear(name, heard) {
  bus.addEventListener(name, (event) => heard(event.detail));
}

// The banner adds the command.
const GONE = { code: "gone", message: "The page's server has ended.", hint: "Start it again:" };
const OVER = { code: "session", message: "This page's session is over.", hint: "Open another page:" };
const OTHER_TAB = {
  code: "session",
  message: "This page works only in the tab that opened its URL.",
  hint: "Go back to that tab, or open another page:",
};

export const get = (path, options) => json(path, { ...options });

export const post = (path, body = {}) => json(path, posted(body));

/** Post what is only for our own server, once that has shown that it still answers. */
export async function postSecret(path, body) {
  await get("/api/stack");
  return post(path, body);
}

/** Post, and read the answer line by line. */
export const postLines = (path, signal) => lines(path, { ...posted({}), signal });

function posted(body) {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
}

async function json(path, options = {}) {
  const answer = await send(path, options);
  try {
    return await answer.json();
  } catch (error) {
    throw lost(error, options.signal);
  }
}

/** Yield the objects of an answer that comes line by line. */
export async function* lines(path, options = {}) {
  const answer = await send(path, options);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) if (part.trim()) yield parsed(part);
    }
    if (rest.trim()) yield parsed(rest);
  } catch (error) {
    throw error instanceof Problem ? error : lost(error, options.signal);
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(line) {
  const found = JSON.parse(line);
  if (found.error) throw noted(found.error);
  return found;
}

async function send(path, options = {}) {
  if (!TOKEN) throw noted(OTHER_TAB);
  let answer;
  try {
    const headers = { ...options.headers, "X-Cogauth-Token": TOKEN };
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options, headers });
  } catch (error) {
    throw lost(error, options.signal);
  }
  // Another program may have taken the port after the server ended.
  const proven = answer.headers.get("X-Cogauth-Proof") === PROOF && PROOF;
  if (!proven && answer.status !== 403) throw lost(new Error("not proven"), options.signal);
  if (answer.ok) {
    tell("found", path);
    return answer;
  }
  const problem = noted(await told(answer));
  if (!LOST.has(problem.code)) tell("found", path);
  throw problem;
}

/** Make an error of the server's a problem, of which the banner tells if it concerns the whole page. */
function noted(error) {
  const problem = new Problem(error.code === "interrupted" ? GONE : error);
  if (LOST.has(problem.code)) tell("lost", problem);
  return problem;
}

async function told(answer) {
  if (answer.status === 403) return OVER;
  try {
    const { error } = await answer.json();
    if (error?.message) return error;
  } catch {
    // Not from our server's handlers: the status is all there is.
  }
  return { code: "failed", message: `The page's server answered ${answer.status}.` };
}

/** Tell an end that we asked for from an end of the server. */
function lost(error, signal) {
  return signal?.aborted ? error : noted(GONE);
}
