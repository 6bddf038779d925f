// How the services were lately, as the monitor saw it: a letter for each part of the time, drawn as a small chart.

import { isRecord, isRecordList } from "./load.js";
import { drawing } from "./view.js";

const WORKED = "u";
const AT_TIMES = "p";
const DID_NOT = "d";
const UNSEEN = "-";
const MOST = 96;
const STALE_MINUTES = 30;

// Height of a bar in percent, so that the colour is never alone, and its class.
const BARS = { [WORKED]: [100, "good"], [AT_TIMES]: [60, "busy"], [DID_NOT]: [25, "bad"] };
const STATES = { [WORKED]: "up", [AT_TIMES]: "at times", [DID_NOT]: "down" };

export function validHistory(answer) {
  return (
    isRecord(answer) &&
    answer.step > 0 &&
    isRecordList(answer.services) &&
    answer.services.every(({ service, parts }) => typeof service === "string" && /^[upd-]{0,96}$/.test(parts))
  );
}

export const isStale = (history) => age(history) > STALE_MINUTES * 60;

const age = ({ until }) => (Date.now() - Date.parse(until)) / 1000;

// By service {parts, step, state, since, long}: its last parts up to now, and how it is as far as somebody looked lately; `long` in
// words where that is not known to have begun.
export function pasts(history) {
  const found = new Map();
  if (!history?.until) {
    return found;
  }
  const { step, until, services } = history;
  const missed = Math.max(0, Math.floor(age(history) / step));
  for (const { service, parts } of services) {
    const last = isStale(history) ? UNSEEN : parts.at(-1) ?? UNSEEN;
    const same = /(.)\1*$/.exec(parts)?.[0].length ?? 0;
    found.set(service, {
      parts: (UNSEEN.repeat(MOST) + parts + UNSEEN.repeat(Math.min(missed, MOST))).slice(-MOST),
      step,
      state: STATES[last],
      since: last !== UNSEEN && same < parts.length ? new Date(Date.parse(until) - same * step * 1000).toISOString() : null,
      long: same === parts.length ? `${hours(same * step)} or more` : "",
    });
  }
  return found;
}

export function chart({ parts, step }) {
  const bars = [...parts.matchAll(/([upd])\1*/g)].map((run) => {
    const [height, kind] = BARS[run[1]];
    return drawing("rect", { class: kind, x: run.index, y: 100 - height, width: run[0].length, height });
  });
  const attributes = { class: "chart", viewBox: `0 0 ${MOST} 100`, preserveAspectRatio: "none", role: "img" };
  return drawing("svg", { ...attributes, "aria-label": words(parts, step) }, ...bars);
}

function words(parts, step) {
  const told = [[DID_NOT, "did not work"], [AT_TIMES, "worked at times"], [UNSEEN, "not looked at"]]
    .map(([letter, text]) => [text, parts.split(letter).length - 1])
    .filter(([, count]) => count)
    .map(([text, count]) => `${text} for ${hours(count * step)}`);
  return `Last ${hours(MOST * step)}: ${told.join(", ") || "worked all the time"}`;
}

function hours(seconds) {
  const minutes = Math.round(seconds / 60);
  const [whole, rest] = [Math.floor(minutes / 60), minutes % 60];
  return [whole && `${whole} h`, rest && `${rest} min`].filter(Boolean).join(" ");
}
