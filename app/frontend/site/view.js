// Building blocks of the page. Text goes in as text nodes, so nothing from outside is ever parsed as HTML.

// A name; nothing is fetched from there.
const SVG = "http://www.w3.org/2000/svg";

const GOOD = ["up", "succeeded"];
const BAD = ["down", "failed", "silent"];
const UNKNOWN = ["not asked"];

export const element = (name, ...rest) => filled(document.createElement(name), ...rest);

// A part of a picture.
export const drawing = (name, ...rest) => filled(document.createElementNS(SVG, name), ...rest);

function filled(node, attributes = {}, ...children) {
  for (const [key, value] of Object.entries(attributes)) {
    node.setAttribute(key, value);
  }
  node.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ""))));
  return node;
}

export const note = (text) => element("p", { class: "quiet" }, text);

// Puts a node into a panel, unless the same is there already: a focus or a selection within it stays.
export function show(panel, node) {
  if (!(panel.childNodes.length === 1 && panel.firstChild.isEqualNode(node))) {
    panel.replaceChildren(node);
  }
}

// A table whose rows stand in groups, each with a heading of its own unless that is empty.
export function table(id, columns, groups) {
  const labels = Object.keys(columns);
  const head = labels.map((label) => element("th", { scope: "col" }, label));
  const bodies = groups.map(([heading, rows]) =>
    element(
      "tbody",
      {},
      ...(heading ? [element("tr", {}, element("th", { scope: "rowgroup", colspan: labels.length }, heading))] : []),
      ...rows.map((row) => element("tr", {}, ...labels.map((label) => cell(label, columns[label](row)))))
    )
  );
  return element("table", { "aria-labelledby": `${id}-title` }, element("thead", {}, element("tr", {}, ...head)), ...bodies);
}

// The label is for narrow screens, where a row stands by itself.
function cell(label, content) {
  const parts = (Array.isArray(content) ? content : [content]).filter((part) => part instanceof Node || (part ?? "") !== "");
  return element("td", { "data-label": label }, ...parts.map((part) => (part instanceof Node ? part : element("span", {}, part))));
}

// A second line of a cell; empty where there is nothing to say.
export function second(...parts) {
  const told = parts.filter((part) => part instanceof Node || (part ?? "") !== "");
  return told.length ? element("small", {}, ...told.flatMap((part, index) => (index ? [" · ", part] : [part]))) : "";
}

export function pill(state, text = state) {
  const kind = [[GOOD, "good"], [BAD, "bad"], [UNKNOWN, "unknown"]].find(([states]) => states.includes(state))?.[1] ?? "";
  return element("span", { class: `pill ${kind}` }, String(text).replaceAll("_", " "));
}

export function number(value, digits, unit) {
  return Number.isFinite(value) ? `${value.toFixed(digits)}\u00a0${unit}` : "";
}

// A moment as people say it, or nothing where it is none.
export function moment(value) {
  const date = new Date(/^\d{4}-\d\d-\d\d/.test(value) ? value : NaN);
  if (Number.isNaN(date.getTime())) {
    return "";
  }
  return element("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(date));
}

function ago(date) {
  const seconds = (Date.now() - date.getTime()) / 1000;
  for (const [size, unit] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (seconds >= size) {
      return new Intl.RelativeTimeFormat("en", { style: "short" }).format(-Math.floor(seconds / size), unit);
    }
  }
  return "just now";
}
