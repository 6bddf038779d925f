// What the backend says of the services, as one row for each, whether or not it could ask.

import { pasts } from "./history.js";
import { isRecord, isRecordList } from "./load.js";

export const NOT_ASKED = "not asked";

export function validStatus(answer) {
  return (
    isRecord(answer) &&
    isRecordList(answer.services) &&
    Number.isInteger(answer.total) &&
    isRecordList(answer.stacks) &&
    answer.stacks.every((stack) => isRecordList(stack.services))
  );
}

// Pairs of a stack's name and its rows: {name, description, state, since, detail, release, past, told}. What was not asked is as
// the monitor saw it (`told`); what nobody knows of is one row.
export function stacks(status, history) {
  const past = pasts(history);
  const asked = Map.groupBy(status.services, (row) => row.service);
  const found = status.stacks.map((stack) => [
    stack.name || "Other",
    together(stack.services.map(({ name, description }) => service(status, name, description, asked.get(name) ?? [], past.get(name)))),
  ]);
  const named = new Set(status.stacks.flatMap((stack) => stack.services.map(({ name }) => name)));
  const others = [...asked].filter(([name]) => !named.has(name));
  if (others.length) {
    found.push(["Other", others.map(([name, ports]) => service(status, name, "", ports, past.get(name)))]);
  }
  return found.filter(([, services]) => services.length);
}

// The rows of the services that do not work.
export function down(status, history) {
  return stacks(status, history).flatMap(([, services]) => services.filter(({ state }) => state === "down"));
}

function together(services) {
  const unknown = ({ state, past }) => state === NOT_ASKED && !past;
  const silent = services.filter(unknown);
  const rest = services.filter((row) => !unknown(row));
  return silent.length ? [...rest, { name: silent.map(({ name }) => name).join(", "), state: NOT_ASKED }] : rest;
}

function service(status, name, description, ports, past) {
  if (!ports.length) {
    const itself = status.answered_by?.service === name;
    if (!itself && past?.state) {
      const detail = past.state === "down" ? "as the monitor saw it" : "";
      return { name, description, state: past.state, since: past.since, long: past.long, detail, past, told: true };
    }
    const { since = null, release } = itself ? status.answered_by : {};
    return { name, description, state: itself ? "up" : NOT_ASKED, since, detail: "", release, past };
  }
  const bad = ports.filter((port) => port.state !== "up");
  const since = (bad.length ? bad : ports).map((port) => port.since).filter(Boolean).sort();
  return {
    name,
    description,
    state: bad.length ? "down" : "up",
    // Up since the last of its ports is, down since the first one was.
    since: bad.length ? since[0] : since.at(-1),
    release: ports.map((port) => port.release).find(Boolean),
    detail: bad.map((port) => `port ${port.port}: ${port.detail}`).join(", "),
    past,
  };
}
