// Views load their data again when the page becomes visible again: it may have changed in another tab or on another device.

import { RequestFailed, latest } from "../api.js";
import { stopOnFailure } from "../failure.js";

/**
 * Runs `refresh` when the page becomes visible again, until the signal aborts. A page with a dialog waits until it closes. A
 * failed request leaves the view as it is.
 * @param {AbortSignal} signal
 * @param {(signal: AbortSignal) => Promise<unknown>} refresh
 * @returns {() => void} runs `refresh` now, under the same conditions
 */
export function onVisible(signal, refresh) {
  const refreshing = latest(signal);
  let waits = false;
  const run = () => {
    waits = document.hidden || document.querySelector("dialog[open]") !== null;
    if (!waits) void stopOnFailure(refreshing.run(refresh).catch(ignore));
  };
  const resume = () => void (waits && setTimeout(run));
  document.addEventListener("visibilitychange", () => document.hidden || run(), { signal });
  document.addEventListener("close", resume, { capture: true, signal });
  return run;
}

/** @param {unknown} error */
function ignore(error) {
  if (!(error instanceof RequestFailed)) throw error;
}
