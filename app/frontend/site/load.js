// Loading JSON, with each way it can fail told in one plain sentence.

const TIMEOUT_SECONDS = 8;

export const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
export const isRecordList = (value) => Array.isArray(value) && value.every(isRecord);

// Returns the answer, and the release that gave it where it says so.
export async function load(path, valid) {
  let response;
  let text;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_SECONDS * 1000);
    response = await fetch(path, { signal, cache: "no-store", headers: { Accept: "application/json" } });
    text = await response.text();
  } catch (error) {
    const slow = error.name === "TimeoutError";
    throw new Error(slow ? `no answer in ${TIMEOUT_SECONDS} seconds.` : "the service cannot be reached.");
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  if (!response.ok) {
    const detail = isRecord(answer) && typeof answer.detail === "string" ? ` (${answer.detail})` : "";
    throw new Error(`the service answered with error ${response.status}${detail}.`);
  }
  if (answer === undefined) {
    throw new Error("the service answered with something that is not data.");
  }
  if (!valid(answer)) {
    throw new Error("the service answered with data this page does not know.");
  }
  return [answer, response.headers.get("x-release") ?? ""];
}
