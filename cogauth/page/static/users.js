// The users of the pool: found, made, disabled, enabled and deleted.

import { get, hear, post, tell } from "./api.js";
import { busy, button, byId, chip, copyButton, dateTime, el, errorBox, foreign, notice, showError, showFailure, table } from "./dom.js";

const TYPING_MS = 250;

let pages = 1;
let asked = 0;
let timer = null;
let known;
let failed = false;

export function startUsers() {
  byId("users-search").addEventListener("input", () => {
    clearTimeout(timer);
    byId("users-list").setAttribute("aria-busy", "true");
    timer = setTimeout(() => {
      pages = 1;
      load();
    }, TYPING_MS);
  });
  byId("create-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(byId("create-button"), create);
  });
  hear("users-made", load);
  hear("back", load);
  // Users also come and go elsewhere.
  hear("status", (status) => {
    if (failed || (known !== undefined && known !== status.users)) load();
    known = status.users;
  });
  load();
}

async function load() {
  // Only the answer to the last question counts.
  const mine = ++asked;
  const list = byId("users-list");
  const search = byId("users-search").value;
  list.setAttribute("aria-busy", "true");
  try {
    const answer = await get(`/api/users?${new URLSearchParams({ search, pages })}`);
    if (mine !== asked) return;
    failed = false;
    show(answer, search);
  } catch (problem) {
    failed = true;
    if (mine !== asked) return;
    if (list.querySelector(".skeleton")) list.replaceChildren(el("p", { class: "empty" }, "The users could not be read."));
    showError(list, problem);
  } finally {
    if (mine === asked) list.removeAttribute("aria-busy");
  }
}

function show({ users, more }, search) {
  const list = byId("users-list");
  if (!users.length) {
    list.replaceChildren(el("p", { class: "empty" }, search
      ? "No user’s name begins like this."
      : "No users yet. Create one here, or sign up with a new name above."));
    return;
  }
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  const { made, add } = table("Users of the pool", ["Name", "Status", "Created", "Actions"], { class: "users-table" });
  for (const user of users) add(cells(user));
  list.replaceChildren(
    el("div", { class: "users-scroll", tabindex: "0", role: "group", "aria-label": "List of users" }, made),
    el("p", { class: "hint" }, `${users.length} user${users.length === 1 ? "" : "s"}${more ? ", and more" : ""}`),
    ...(more ? [button("Show more", (event) => busy(event.currentTarget, () => {
      pages += 1;
      return load();
    }))] : []),
  );
  if (focused) focusOn(focused);
}

function cells(user) {
  const name = user.username;
  const turn = user.enabled ? "disable" : "enable";
  const word = user.enabled ? "Disable" : "Enable";
  return [
    foreign(name, { class: "strong" }),
    el("span", { class: "user-status" }, chip(user.enabled ? "exists" : "missing", user.enabled ? "✓ enabled" : "✗ disabled"), " ", el("span", { class: "muted" }, user.status)),
    el("span", { class: "muted" }, dateTime(user.created)),
    el("span", { class: "actions" },
      button(word, (event) => busy(event.currentTarget, () => change(turn, name)), { class: "small", "aria-label": `${word} ${name}` }),
      button("Delete", (event) => askDelete(name, event.currentTarget), { class: "small danger", "aria-label": `Delete ${name}` })),
  ];
}

async function change(action, username) {
  const done = { disable: "is disabled: it can neither sign in nor renew tokens. Those that it has work until they expire, within an hour.", enable: "is enabled.", delete: "is deleted." }[action];
  try {
    await post(`/api/users/${action}`, { username });
  } catch (problem) {
    showFailure(byId("users-message"), problem);
    return;
  }
  message(notice("ok", foreign(username), ` ${done}`));
  await changed();
  // The button that was pressed is gone with its row.
  const next = { disable: `Enable ${username}`, enable: `Disable ${username}` }[action];
  if (document.activeElement === document.body) focusOn(next);
}

function focusOn(label) {
  [...byId("users-list").querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === label)?.focus();
}

async function changed() {
  await load();
  tell("users-changed");
  tell("changed");
}

async function create() {
  const field = byId("create-name");
  const username = field.value;
  if (!username) {
    message(errorBox({ message: "The name of the new user is empty." }));
    field.focus();
    return;
  }
  let made;
  try {
    made = await post("/api/users/create", { username });
  } catch (problem) {
    showFailure(byId("users-message"), problem);
    return;
  }
  field.value = "";
  message(created(made));
  await changed();
}

function created(made) {
  const until = made.days ? ` It is valid for ${made.days} day${made.days === 1 ? "" : "s"}.` : "";
  const said = notice("ok", el("strong", {}, foreign(made.created), " was created."));
  said.append(
    el("p", {}, "Temporary password, shown only once:"),
    el("div", { class: "command" }, el("code", {}, made.temporary_password), copyButton(() => made.temporary_password, "Copy the temporary password")),
    el("p", { class: "muted" }, `The user chooses another one at the first sign-in.${until}`),
    button("Done", () => message(), { class: "small" }));
  return said;
}

function message(...made) {
  byId("users-message").replaceChildren(...made);
}

function askDelete(username, opener) {
  const dialog = byId("confirm");
  const go = button("Delete", () => busy(go, async () => {
    await change("delete", username);
    dialog.close();
  }), { class: "danger-solid" });
  dialog.replaceChildren(
    el("h2", { id: "confirm-title" }, "Delete ", foreign(username), "?"),
    el("p", {}, "The user and its attributes are gone for good, and someone else may take the name. Tokens that it has work until they expire, within an hour."),
    el("div", { class: "actions end" }, button("Cancel", () => dialog.close(), { autofocus: true }), go));
  dialog.addEventListener("close", () => (opener.isConnected ? opener : byId("users-search")).focus(), { once: true });
  dialog.showModal();
}
