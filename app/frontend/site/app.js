// The page: asks the platform's services for their state and draws it, again and again.
// What they answer is drawn as text only, and an answer that cannot be used leaves the last good one on the page.

import { element, moment, number, pill, table } from "./view.js";
import { isRecord, isRecordList, load } from "./load.js";

const sections = [
  {
    id: "services",
    path: "/api/status",
    valid: (answer) => isRecord(answer) && isRecordList(answer.services) && Number.isInteger(answer.total),
    rows: (answer) => answer.services.toSorted((a, b) => (a.state === "up") - (b.state === "up")),
    empty: "The backend reaches no other service yet.",
    columns: {
      Service: (row) => row.service,
      State: (row) => pill(row.state),
      Port: (row) => row.port,
      Latency: (row) => (row.state === "up" ? number(row.latency_ms, 0, "ms") : ""),
      Detail: (row) => row.detail,
    },
  },
  {
    id: "deployments",
    path: "/api/deployments?limit=10",
    valid: isRecordList,
    rows: (answer) => answer,
    empty: "Nothing has been deployed yet. The first deployment will appear here.",
    columns: {
      Service: (row) => row.service,
      Status: (row) => pill(row.status),
      Version: (row) => row.version,
      By: (row) => row.deployed_by,
      Started: (row) => moment(row.started_at),
      Note: (row) => row.note,
    },
  },
  {
    id: "devices",
    path: "/api/devices",
    valid: isRecordList,
    rows: (answer) => answer,
    empty: "No devices yet. A device appears here once it has reported or registered.",
    columns: {
      Device: (row) => row.name,
      Kind: (row) => row.kind,
      Architecture: (row) => row.architecture,
      Version: (row) => row.version,
      Address: (row) => row.address,
      "Last seen": (row) => moment(row.last_seen),
    },
  },
  {
    id: "downloads",
    path: "/artifacts/manifest.json",
    valid: (answer) => isRecord(answer) && isRecordList(answer.artifacts),
    rows: (answer) => answer.artifacts,
    empty: "There is nothing to download yet.",
    columns: {
      File: (row) => element("a", { href: `/artifacts/${encodeURIComponent(row.name)}`, download: "" }, row.name),
      Size: (row) => number(row.size / 1e6, 1, "MB"),
      "SHA-256": (row) => element("code", {}, row.sha256),
    },
  },
];

const PATIENCE_SECONDS = 1.5;
const byId = (id) => document.getElementById(id);
const note = (text) => element("p", { class: "quiet" }, text);
const answers = new Map();
const problems = new Map();
let refreshSeconds = 10;
let timer = 0;

async function refresh() {
  clearTimeout(timer);
  byId("refresh").disabled = true;
  const all = Promise.all(sections.map(draw));
  // What is known soon is told soon; the slow ones follow.
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, PATIENCE_SECONDS * 1000))]);
  report();
  await all;
  report();
  byId("refresh").disabled = false;
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (byId("auto").checked && !document.hidden) {
    timer = setTimeout(refresh, refreshSeconds * 1000);
  }
}

async function draw(section) {
  const panel = byId(section.id);
  try {
    const answer = await load(section.path, section.valid);
    const rows = section.rows(answer);
    panel.replaceChildren(rows.length ? table(section, rows) : note(section.empty));
    panel.classList.remove("stale");
    answers.set(section.id, answer);
    problems.delete(section.id);
  } catch (error) {
    panel.classList.add("stale");
    if (!answers.has(section.id)) {
      panel.replaceChildren(note("Not available right now."));
    }
    problems.set(section.id, error.message);
  }
}

function report() {
  const failed = sections.filter(({ id }) => problems.has(id));
  const lines = Object.entries(Object.groupBy(failed, ({ id }) => problems.get(id))).map(
    ([message, group]) => `${group.map(({ id }) => byId(`${id}-title`).textContent).join(", ")}: ${message}`
  );
  // Live regions are read out when they change, so leave them alone when they do not.
  if (byId("problems").textContent !== lines.join("")) {
    byId("problems").replaceChildren(...lines.map((line) => element("li", {}, line)));
  }
  byId("banner").hidden = lines.length === 0;
  const [text, kind] = summary();
  if (byId("summary").textContent !== text) {
    byId("summary").textContent = text;
  }
  byId("summary").className = `pill ${kind}`;
  const verb = problems.size < sections.length ? "Updated" : "Last try";
  byId("updated").textContent = `${verb} ${new Date().toLocaleTimeString()}`;
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
  const down = new Set(status.services.filter((row) => row.state !== "up").map((row) => row.service));
  if (down.size) {
    return [`${asked}, ${down.size} down`, "bad"];
  }
  if (status.cache === "unavailable") {
    return ["Cache unavailable", "bad"];
  }
  return problems.size ? ["Partly unavailable", "bad"] : [`${asked}, all up`, "good"];
}

async function configure() {
  try {
    const config = await load("/config.json", isRecord);
    byId("title").textContent = document.title = String(config.title || "Dockfra");
    refreshSeconds = Math.max(2, Number(config.refresh_seconds) || refreshSeconds);
    // Only paths on this platform: an address elsewhere is not a link the page would offer.
    const links = (isRecordList(config.links) ? config.links : []).filter(({ path }) => /^\/(?!\/)/.test(path));
    byId("links").replaceChildren(
      ...links.map(({ label, path }) => element("li", {}, element("a", { href: path }, label)))
    );
  } catch {
    // The defaults do.
  }
}

for (const { id } of sections) {
  byId(id).replaceChildren(note("Loading…"));
}
byId("controls").hidden = false;
byId("refresh").addEventListener("click", refresh);
byId("auto").addEventListener("change", () => (byId("auto").checked ? refresh() : schedule()));
document.addEventListener("visibilitychange", () => (document.hidden || !byId("auto").checked ? schedule() : refresh()));
await configure();
await refresh();
