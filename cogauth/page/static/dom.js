// Building elements and showing what every region shows: errors, commands, times, busy buttons.

import { LOST } from "./api.js";

const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const COPIED_FOR_MS = 2000;
// Begins with a program's name or path; of ours, python may come first: /x/python -P -m cogauth up.
const QUOTED_COMMAND = /(?<![\p{L}\p{N}])'((?:aws |(?:[./~][^']*[\s/])?cogauth )[^']*)'(?![\p{L}\p{N}])/u;

export const byId = (id) => document.getElementById(id);

/** Make an element. Strings among the children become text, never markup. */
export function el(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "on") for (const [event, heard] of Object.entries(value)) made.addEventListener(event, heard);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function button(text, clicked, options = {}) {
  return el("button", { type: "button", ...options, on: { click: clicked } }, text);
}

/** Show the 'commands' in single quotes of a text as code. Anything else may be quoted, too. */
export function withCommands(text) {
  return String(text ?? "")
    .split(QUOTED_COMMAND)
    .map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

/** A command to type, with a button that copies it. */
export function command(text) {
  return el("div", { class: "command" }, el("code", {}, text), copyButton(() => text, "Copy the command"));
}

export function copyButton(text, label) {
  const made = button("Copy", async () => {
    const done = await copy(text());
    made.textContent = done ? "Copied" : "Not allowed";
    setTimeout(() => (made.textContent = "Copy"), COPIED_FOR_MS);
  }, { class: "small copy", "aria-label": label });
  return made;
}

/** Copy a text; return false where the browser doesn't allow it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** An error of the server or of an API, in place. */
export function errorBox(error) {
  return el(
    "div",
    { class: "error", role: "alert" },
    el("p", { class: "error-message" }, el("span", { class: "symbol", "aria-hidden": "true" }, "✗"), el("span", {}, withCommands(error.message))),
    error.hint ? el("p", {}, withCommands(error.hint)) : null,
  );
}

/** Show why something that was asked for failed, unless the banner says so. */
export function showFailure(place, error) {
  place.replaceChildren(...(LOST.has(error.code) ? [] : [errorBox(error)]));
}

/** Show why something can't be read, unless the banner says so, or it stands there already: the
 * same words would be read aloud again. */
export function showError(place, error) {
  if (LOST.has(error.code)) return;
  const said = `${error.message} ${error.hint ?? ""}`;
  if (place.firstElementChild?.classList.contains("error") && place.dataset.said === said) return;
  place.dataset.said = said;
  place.replaceChildren(errorBox(error));
}

/** What was done, or not done, in place. */
export function notice(kind, ...said) {
  const symbol = { ok: "✓", bad: "✗" }[kind];
  return el("div", { class: `notice ${kind}` },
    el("p", {}, symbol ? el("span", { class: "symbol", "aria-hidden": "true" }, symbol) : null, el("span", {}, said)));
}

export function chip(kind, text) {
  return el("span", { class: `chip ${kind}` }, text);
}

/** Text of foreign origin that must not change the direction of what is around it. */
export function foreign(text, options = {}) {
  return el("bdi", options, String(text));
}

/** Disable a button while something runs, without moving the focus for good. */
export async function busy(control, work) {
  if (control.disabled) return undefined;
  const focused = document.activeElement === control;
  control.disabled = true;
  control.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    control.disabled = false;
    control.removeAttribute("aria-busy");
    // A disabled button loses the focus, and keyboard users would start at the top again.
    if (focused && [document.body, null].includes(document.activeElement)) control.focus();
  }
}

export function dateTime(value) {
  const date = new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(date.getTime()) ? String(value) : DATE.format(date);
}

/** A text that may be a time in ISO's form. */
export const timeOrText = (text) => (/^\d{4}-\d\d-\d\dT\d\d:/.test(text) ? dateTime(text) : String(text));

export function clock(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : CLOCK.format(date);
}

/** A JSON value as one reads it. */
export function shown(value) {
  if (value === null || value === undefined) return "unset";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A table whose roles stay when narrow screens stack its cells. */
export function table(label, columns, options = {}) {
  const head = el("tr", { role: "row" }, columns.map((name) => el("th", { role: "columnheader", scope: "col" }, name)));
  const body = el("tbody", { role: "rowgroup" });
  const made = el("table", { role: "table", "aria-label": label, ...options }, el("thead", { role: "rowgroup" }, head), body);
  const add = (cells, rowOptions = {}) => {
    const row = el("tr", { role: "row", ...rowOptions });
    cells.forEach((cell, i) => row.append(el("td", { role: "cell", "data-column": columns[i] }, cell)));
    body.append(row);
    return row;
  };
  return { made, add };
}
