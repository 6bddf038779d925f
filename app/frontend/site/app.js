// The page: asks the platform's services for their state and draws it, again and again.
// What they answer is drawn as text only, and an answer that cannot be used leaves the last good one on the page.

import { element, table, pill, moment } from "./view.js";
import { isRecord, isRecordList, load } from "./load.js";

const sections = [
  {
    id: "services",
    path: "/api/status",
    valid: (answer) => isRecord(answer) && isRecordList(answer.services),
    rows: (answer) => answer.services,
    empty: "The backend reaches no other service yet.",
    columns: {
      Service: (row) => row.service,
      State: (row) => pill(row.state),
      Port: (row) => row.port,
      Latency: (row) => (row.state === "up" ? `${row.latency_ms} ms` : ""),
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
      Size: (row) => `${(row.size / 1e6).toFixed(1)} MB`,
      "SHA-256": (row) => element("code", {}, row.sha256),
    },
  },
];

const byId = (id) => document.getElementById(id);
let refreshSeconds = 10;
let timer = 0;

async function refresh() {
  clearTimeout(timer);
  byId("refresh").disabled = true;
  const results = await Promise.all(sections.map(draw));
  const problems = results.filter((result) => result.problem).map((result) => result.problem);
  report(results[0].answer, problems);
  byId("refresh").disabled = false;
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (byId("auto").checked && !document.hidden) {
    timer = setTimeout(refresh, refreshSeconds * 1000);
  }
}

// Draws one section; resolves to its answer, or to the problem that kept it from having one.
async function draw(section) {
  const panel = byId(section.id);
  try {
    const answer = await load(section.path, section.valid);
    const rows = section.rows(answer);
    panel.replaceChildren(rows.length ? table(section, rows) : element("p", { class: "quiet" }, section.empty));
    panel.classList.remove("stale");
    return { answer };
  } catch (error) {
    panel.classList.add("stale");
    if (!panel.hasChildNodes()) {
      panel.replaceChildren(element("p", { class: "quiet" }, "Not available right now."));
    }
    return { problem: `${byId(`${section.id}-title`).textContent}: ${error.message}` };
  }
}

function report(status, problems) {
  const list = problems.map((problem) => element("li", {}, problem));
  // An alert is read out when it changes, so leave an unchanged one alone.
  if (byId("problems").textContent !== problems.join("")) {
    byId("problems").replaceChildren(...list);
  }
  byId("banner").hidden = problems.length === 0;
  byId("updated").textContent = `Updated ${new Date().toLocaleTimeString()}`;

  const [text, kind] = summary(status, problems);
  if (byId("summary").textContent !== text) {
    byId("summary").textContent = text;
  }
  byId("summary").className = `pill ${kind}`;
}

function summary(status, problems) {
  if (!status) {
    return ["Backend unavailable", "bad"];
  }
  const down = new Set(status.services.filter((row) => row.state !== "up").map((row) => row.service));
  if (down.size) {
    return [`${down.size} ${down.size === 1 ? "service" : "services"} down`, "bad"];
  }
  if (status.cache === "unavailable") {
    return ["Cache unavailable", "bad"];
  }
  return problems.length ? ["Partly unavailable", "bad"] : ["All services up", "good"];
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

byId("controls").hidden = false;
byId("refresh").addEventListener("click", refresh);
byId("auto").addEventListener("change", () => (byId("auto").checked ? refresh() : schedule()));
document.addEventListener("visibilitychange", () => (document.hidden || !byId("auto").checked ? schedule() : refresh()));
await configure();
await refresh();
