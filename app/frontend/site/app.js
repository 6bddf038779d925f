// The page: asks the platform's services for their state and draws it, again and again.
// What they answer is drawn as text only, and an answer that cannot be used leaves the last good one on the page.

import { ways } from "./access.js";
import { attention } from "./attention.js";
import { columns, commit } from "./devices.js";
import { chart, validHistory } from "./history.js";
import { isRecord, isRecordList, load } from "./load.js";
import { down, NOT_ASKED, stacks, validStatus } from "./services.js";
import { element, moment, note, number, pill, second, show, table } from "./view.js";

// A section of the page each; `extra` adds to another one where there is such a thing, and is missed by nobody where there is not.
const sections = [
  {
    id: "services",
    path: "/api/status",
    valid: validStatus,
    draw: (answer) => drawServices(answer),
  },
  {
    id: "history",
    path: "/api/history",
    valid: validHistory,
    extra: "services",
  },
  {
    id: "deployments",
    path: "/api/deployments?limit=10",
    valid: isRecordList,
    empty: "Nothing has been deployed yet. The first deployment will appear here.",
    columns: {
      Service: (row) => [row.service, second(...reached(row)), second(row.version, ...brought(row)), second(row.note)],
      Status: (row) => pill(row.status, row.status === "started" ? "under way" : row.status),
      Started: (row) => [moment(row.started_at), second(`by ${row.deployed_by}`, number(row.seconds, 1, "s"))],
    },
  },
  {
    id: "access",
    path: "/config.json",
    valid: isRecord,
    once: true,
    draw: (answer) => configure(answer),
  },
  {
    id: "devices",
    path: "/api/devices",
    valid: isRecordList,
    empty: "No devices yet. A device appears here once it has reported or registered.",
    columns: () => columns(releases.get("downloads")),
  },
  {
    id: "downloads",
    path: "/artifacts/manifest.json",
    valid: (answer) => isRecord(answer) && isRecordList(answer.artifacts),
    rows: (answer) => answer.artifacts,
    alters: "devices",
    empty: "There is nothing to download yet.",
    columns: {
      File: (row) => [
        element("a", { href: `/artifacts/${encodeURIComponent(row.name)}`, download: "" }, row.name),
        second(element("span", {}, "SHA-256 ", element("code", {}, row.sha256))),
      ],
      Size: (row) => number(row.size / 1e6, 1, "MB"),
    },
  },
];

const PATIENCE_SECONDS = 1.5;
const byId = (id) => document.getElementById(id);
const answers = new Map();
const releases = new Map();
const problems = new Map();
let refreshSeconds = 10;
let timer = 0;
let busy = false;

async function refresh() {
  if (busy) {
    return;
  }
  clearTimeout(timer);
  setBusy(true);
  const all = Promise.all(sections.filter(({ id, once }) => !(once && answers.has(id))).map(ask));
  // What is known soon is told soon; the slow ones follow.
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, PATIENCE_SECONDS * 1000))]);
  report();
  await all;
  report();
  setBusy(false);
  schedule();
}

// Not disabled: a button that is loses the keyboard's focus.
function setBusy(value) {
  busy = value;
  byId("refresh").setAttribute("aria-disabled", String(value));
}

function schedule() {
  clearTimeout(timer);
  if (byId("auto").checked && !document.hidden) {
    timer = setTimeout(refresh, refreshSeconds * 1000);
  }
}

async function ask(section) {
  const panel = byId(section.id);
  try {
    const [answer, release] = await load(section.path, section.valid);
    if (panel) {
      show(panel, drawn(section, answer));
      panel.classList.remove("stale");
    }
    answers.set(section.id, answer);
    releases.set(section.id, release);
    redraw(section.extra ?? section.alters);
    problems.delete(section.id);
  } catch (error) {
    if (section.extra) {
      return;
    }
    panel.classList.add("stale");
    if (!answers.has(section.id)) {
      show(panel, note("Not available right now."));
    }
    problems.set(section.id, error.message);
  }
}

// Draws another section anew, if there is something to draw.
function redraw(id) {
  if (answers.has(id)) {
    show(byId(id), drawn(sections.find((section) => section.id === id), answers.get(id)));
  }
}

const drawn = (section, answer) => (section.draw ? section.draw(answer) : drawRows(section, answer));

function drawRows({ id, rows = (answer) => answer, empty, columns }, answer) {
  const found = rows(answer);
  return found.length ? table(id, typeof columns === "function" ? columns() : columns, [["", found]]) : note(empty);
}

const list = (value) => (Array.isArray(value) ? value : []);

// The services that a deployment brought something to, where its name does not say it.
const reached = ({ service, services }) => (String(list(services)) === String(service) ? [] : list(services));

// The commit, unless the version names it already, and the tickets.
function brought({ version, commit, tickets }) {
  const short = String(commit ?? "").slice(0, 12);
  const told = String(version).endsWith(short) ? [] : [short];
  return [...told, ...list(tickets)].map((text) => element("span", { class: "whole" }, text));
}

// The release by its commit; all of its id for who points at it.
const release = (id) => (id ? element("span", { title: id }, `release ${commit(id)}`) : "");

function drawServices(status) {
  if (!status.services.length) {
    return note("The backend reaches no other service yet.");
  }
  const columns = {
    Service: (row) =>
      row.state === NOT_ASKED
        ? second(row.name)
        : [row.name, second(row.detail || row.description), second(release(row.release))],
    "Last 24 hours": (row) => (row.past ? chart(row.past) : ""),
    State: (row) => pill(row.state),
    Since: (row) => moment(row.since) || second(row.long),
  };
  const found = stacks(status, answers.get("history"));
  const rows = found.flatMap(([, services]) => services);
  if (!rows.some(({ past }) => past)) {
    delete columns["Last 24 hours"];
  }
  const others = rows.some(({ told }) => told)
    ? "The others are as the monitor saw them, some minutes ago at most; log in there and type status to see them now."
    : "The others are out of its reach. The monitor asks all of them: log in there and type status.";
  return element(
    "div",
    {},
    table("services", columns, found),
    note(`The backend asks ${status.asked} of ${status.total} services. ${status.asked < status.total ? others : ""}`.trim())
  );
}

// Settings of the page, and the ways in; returns those to be shown.
function configure(config) {
  byId("title").textContent = document.title = String(config.title || "Dockfra");
  refreshSeconds = Math.max(2, Number(config.refresh_seconds) || refreshSeconds);
  // Only paths on this platform: an address elsewhere is not a link the page would offer.
  const links = (isRecordList(config.links) ? config.links : []).filter(({ path }) => /^\/(?!\/)/.test(path));
  byId("links").replaceChildren(...links.map(({ label, path }) => element("li", {}, element("a", { href: path }, label))));
  const logins = isRecordList(config.logins) ? config.logins : [];
  return logins.length ? ways(logins, (text) => (byId("told").textContent = text)) : note("No way in is published.");
}

function report() {
  drawAttention();
  const [text, kind] = summary();
  // Live regions are read out when they change, so leave them alone when they do not.
  if (byId("summary").textContent !== text) {
    byId("summary").textContent = text;
  }
  byId("summary").className = `pill ${kind}`;
  const verb = problems.size < sections.filter(({ extra }) => !extra).length ? "Updated" : "Last try";
  byId("updated").textContent = `${verb} ${new Date().toLocaleTimeString()}`;
}

function drawAttention() {
  const failed = sections
    .filter(({ id }) => problems.has(id))
    .map(({ id }) => ({ title: byId(`${id}-title`).textContent, message: problems.get(id) }));
  const items = attention(answers, failed, releases.get("downloads"));
  const panel = byId("attention");
  panel.classList.toggle("bad", items.some(({ waits }) => !waits));
  panel.classList.toggle("busy", items.some(({ waits }) => waits));
  const known = sections.every(({ id, extra }) => extra || answers.has(id) || problems.has(id));
  panel.classList.toggle("good", known && !items.length);
  if (!items.length) {
    show(panel, element("p", {}, known ? "Nothing needs attention." : "Loading…"));
    return;
  }
  const lines = items.map(({ what, detail, since, waits }) =>
    element("li", { class: waits ? "waits" : "" }, element("strong", {}, what), second(detail, moment(since)))
  );
  show(panel, element("ul", {}, ...lines));
}

function summary() {
  if (problems.has("services")) {
    return ["Backend unavailable", "bad"];
  }
  const status = answers.get("services");
  if (!status) {
    return ["Loading…", ""];
  }
  if (!status.services.length) {
    return ["No services yet", ""];
  }
  const asked = `${status.asked} of ${status.total} services asked`;
  const count = down(status, answers.get("history")).length;
  if (count) {
    return [`${asked}, ${count} down`, "bad"];
  }
  if (status.cache === "unavailable") {
    return ["Cache unavailable", "bad"];
  }
  return problems.size ? ["Partly unavailable", "bad"] : [`${asked}, all up`, "good"];
}

for (const id of ["attention", ...sections.filter(({ extra }) => !extra).map((section) => section.id)]) {
  show(byId(id), note("Loading…"));
}
byId("controls").hidden = false;
byId("refresh").addEventListener("click", refresh);
byId("auto").addEventListener("change", () => (byId("auto").checked ? refresh() : schedule()));
document.addEventListener("visibilitychange", () => (document.hidden || !byId("auto").checked ? schedule() : refresh()));
await refresh();
