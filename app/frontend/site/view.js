// Building blocks of the page. Text goes in as text nodes, so nothing from outside is ever parsed as HTML.

const GOOD = ["up", "succeeded"];
const BAD = ["down", "failed"];

export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    node.setAttribute(key, value);
  }
  node.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ""))));
  return node;
}

export function table({ id, columns }, rows) {
  const labels = Object.keys(columns);
  const head = labels.map((label) => element("th", { scope: "col" }, label));
  const body = rows.map((row) => element("tr", {}, ...labels.map((label) => cell(label, columns[label](row)))));
  return element(
    "table",
    { "aria-labelledby": `${id}-title` },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body)
  );
}

function cell(label, content) {
  const attributes = { "data-label": label };
  if (content === "" || content === null || content === undefined) {
    attributes.class = "empty";
  }
  return element("td", attributes, content instanceof Node ? content : element("span", {}, content));
}

export function pill(state) {
  const kind = GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : "";
  return element("span", { class: `pill ${kind}` }, String(state).replaceAll("_", " "));
}

export function number(value, digits, unit) {
  return Number.isFinite(value) ? `${value.toFixed(digits)}\u00a0${unit}` : "";
}

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
