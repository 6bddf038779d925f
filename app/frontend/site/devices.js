// The devices, and which of them are behind or silent.

import { element, moment, number, pill, second } from "./view.js";

const SILENT_MINUTES = 5;
// Of what is away for longer everybody knows.
const NEWS_DAYS = 7;

export const commit = (release) => String(release).split("-").at(-1);

// `wanted` is the release of what is to be downloaded: devices are to run the same. Nothing where that is no release.
export function isBehind({ kind, release }, wanted) {
  return kind === "edge" && Boolean(release && wanted) && release !== wanted;
}

// One that reports by itself does so each minute. Who only was recorded has said nothing of its system.
export function isSilent(device) {
  return device.kind === "edge" && Number.isFinite(device.uptime) && minutes(device) > SILENT_MINUTES;
}

const minutes = ({ last_seen }) => (Date.now() - Date.parse(last_seen)) / 60_000;

export const columns = (wanted) => ({
  Device: (row) => [
    row.name,
    isSilent(row) ? pill("silent") : isBehind(row, wanted) ? pill("behind") : "",
    second(row.kind, row.architecture, row.address),
  ],
  Release: (row) => [
    row.release ? element("code", { title: row.release }, commit(row.release)) : "",
    second(row.release ? `version ${row.version}` : row.version),
  ],
  "Last seen": (row) => moment(row.last_seen),
  "Up for": (row) => lasting(row.uptime),
  Disk: (row) => number(row.disk_used, 0, "%"),
  "Temp.": (row) => number(row.temperature, 0, "°C"),
});

// What a person should look at, as in attention.js.
export function troubles(list = [], wanted) {
  return list.flatMap((row) => {
    if (isSilent(row)) {
      const news = minutes(row) < NEWS_DAYS * 1440;
      return news ? [{ what: `${row.name} is silent`, detail: "it used to report each minute", since: row.last_seen }] : [];
    }
    if (isBehind(row, wanted)) {
      const detail = `it runs ${commit(row.release)}, and ${commit(wanted)} is there for it`;
      return [{ what: `${row.name} is behind`, detail, waits: true }];
    }
    return [];
  });
}

function lasting(seconds) {
  if (!Number.isFinite(seconds)) {
    return "";
  }
  const [size, unit] = [[86400, "d"], [3600, "h"]].find(([size]) => seconds >= size) ?? [60, "min"];
  return number(Math.floor(seconds / size), 0, unit);
}
