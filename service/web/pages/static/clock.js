// The service's clock. Countdowns and ages use it, because the clock of a device may be wrong, and may be corrected while the
// page is open.

const TOLERANCE_MS = 2_000;
/** The least time between two questions for the service's time: a foreign script may replace the device's clock. */
const PAUSE_MS = 10_000;

/** Two clocks of this device at one instant: the one that people set, and the one that only counts. */
const device = () => ({ wall: Date.now(), counter: performance.now() });

let since = device();
let service = since.wall;
let askedAt = -PAUSE_MS;

/** The service's present time, in milliseconds of the epoch. */
export function now() {
  const present = device();
  const counted = present.counter - since.counter;
  if (Math.abs(present.wall - since.wall - counted) > TOLERANCE_MS) void correct(counted);
  return service + counted;
}

/**
 * Asks the service for its time. The device's clock was set, or the device slept: some browsers do not count that time.
 * @param {number} counted milliseconds since the last correction
 */
async function correct(counted) {
  service += counted;
  since = device();
  if (since.counter - askedAt < PAUSE_MS) return;
  askedAt = since.counter;
  try {
    keepTime(await fetch("/healthz", { method: "HEAD", cache: "no-store", credentials: "omit" }));
  } catch {
    // The next response of the service has its time.
  }
}

/**
 * Reads the service's time from a response. Its resolution is one second, so a small difference changes nothing.
 * @param {Response} response
 */
export function keepTime(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (!Number.isFinite(date) || Math.abs(date - now()) <= TOLERANCE_MS) return;
  service = date;
  since = device();
}
