// What a person should look at first, from everything that was answered and everything that was not.

import { troubles } from "./devices.js";
import { isStale } from "./history.js";
import { down } from "./services.js";

const LONG_MINUTES = 60;

// Returns items {what, detail, since, waits}, `waits` where nothing is wrong yet; none where all is well. `wanted` is the release
// that devices are to run.
export function attention(answers, problems, wanted) {
  const history = answers.get("history");
  return [
    ...unanswered(problems),
    ...services(answers.get("services"), history),
    ...deployments(answers.get("deployments")),
    ...troubles(answers.get("devices"), wanted),
    ...(history?.until && isStale(history) ? [{ what: "The monitor is silent", detail: "it told how the services were", since: history.until, waits: true }] : []),
  ];
}

function unanswered(problems) {
  const groups = Map.groupBy(problems, ({ message }) => message);
  return [...groups].map(([message, parts]) => ({ what: `No answer for: ${parts.map(({ title }) => title).join(", ")}`, detail: message }));
}

function services(status, history) {
  if (!status) {
    return [];
  }
  const found = down(status, history).map(({ name, detail, since }) => ({ what: `${name} is down`, detail, since }));
  if (status.cache === "unavailable") {
    found.push({ what: "The backend’s cache does not answer", detail: "services are asked anew each time" });
  }
  return found;
}

// The last deployment of each service counts: what failed before it is done with.
function deployments(list = []) {
  const last = new Map();
  for (const row of list) {
    if (!last.has(row.service)) {
      last.set(row.service, row);
    }
  }
  return [...last.values()].flatMap((row) => {
    const what = `${row.service} ${row.version}`;
    if (row.status === "failed") {
      return [{ what: `Deployment of ${what} failed`, detail: row.note, since: row.finished_at }];
    }
    if (row.status === "started") {
      const long = Date.now() - Date.parse(row.started_at) > LONG_MINUTES * 60_000;
      const detail = long ? row.note : `by ${row.deployed_by}`;
      return [{ what: `Deployment of ${what} ${long ? "has not ended" : "is under way"}`, detail, since: row.started_at, waits: true }];
    }
    return [];
  });
}
