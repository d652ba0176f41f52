// What changes while somebody looks: the API's subscription, read as server-sent events with fetch.
//
// Nothing is replayed, so after every (re)connection the view catches up by asking again. A window that nobody looks at
// holds no connection: browsers allow few of them to one place.

import { Unanswered } from "../api.js";
import { INVITATION_CHANGED } from "../operations.js";
import { language } from "../words.js";

/** @typedef {import("../operations.js").Invitation} Invitation */

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/** The service gives a sign of life every twelve seconds. */
const SILENCE_MS = 40_000;

/**
 * @typedef {object} Follower
 * @property {AbortSignal} signal ends it
 * @property {(invitation: Invitation) => void} changed
 * @property {() => Promise<void>} catchUp asks again, after every connection
 * @property {(live: boolean) => void} told whether news come by themselves just now
 */

/**
 * Follows the invitations of a community until the view is left.
 * @param {string} communityId
 * @param {Follower} follower
 */
export async function follow(communityId, follower) {
  const { signal, told } = follower;
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    await visible(signal);
    if (await listen(communityId, follower)) wait = FIRST_WAIT_MS;
    if (signal.aborted) return;
    told(false);
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

/**
 * Holds one connection as long as it goes.
 * @param {string} communityId
 * @param {Follower} follower
 * @returns {Promise<boolean>} whether it stood
 */
async function listen(communityId, { signal, changed, catchUp, told }) {
  const ended = new AbortController();
  const end = () => ended.abort();
  const hide = () => document.hidden && end();
  document.addEventListener("visibilitychange", hide, { signal: ended.signal });
  addEventListener("offline", end, { signal: ended.signal });
  signal.addEventListener("abort", end, { signal: ended.signal });
  let stood = false;
  try {
    const body = await connect(communityId, ended.signal);
    await catchUp();
    stood = true;
    told(true);
    for await (const invitation of news(body, end)) changed(invitation);
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error;
  } finally {
    end();
  }
  return stood;
}

/**
 * @param {string} communityId
 * @param {AbortSignal} signal
 */
async function connect(communityId, signal) {
  const asked = fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream", "accept-language": language },
    credentials: "same-origin",
    cache: "no-store",
    body: JSON.stringify({ query: INVITATION_CHANGED.document, variables: { communityId } }),
    signal,
  });
  const response = await asked.catch(() => null);
  if (!response?.ok || !response.body) throw new Unanswered("There is no connection.");
  return response.body;
}

/**
 * The invitations in a stream of events, until it ends or falls silent.
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} fellSilent
 * @returns {AsyncGenerator<Invitation>}
 */
async function* news(body, fellSilent) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const watchdog = setTimeout(fellSilent, SILENCE_MS);
    const part = await reader.read().catch(() => null);
    clearTimeout(watchdog);
    if (!part || part.done) return;
    const events = (text + decoder.decode(part.value, { stream: true })).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      const data = /^data: (.+)$/m.exec(event)?.[1];
      const told = data && JSON.parse(data).data;
      if (told) yield told.invitationChanged;
    }
  }
}

/** @param {AbortSignal} signal */
function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => (document.hidden ? undefined : resolve(undefined));
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/**
 * Waits, but no longer than the connection to the world or the view is gone.
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const now = () => {
      clearTimeout(timer);
      resolve(undefined);
    };
    signal.addEventListener("abort", now, { once: true });
    addEventListener("online", now, { once: true, signal });
  });
}
