// The subscription to a community's invitations, as server-sent events.
//
// The service replays nothing, so the view loads its data again after each connection. A hidden window has no connection,
// because browsers allow few connections to one host.

import { RequestFailed } from "../api.js";
import { INVITATION_CHANGED } from "../operations.js";
import { viewerHeader } from "../viewer.js";
import { language } from "../words.js";

/** @typedef {import("../operations.js").Invitation} Invitation */

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/** The service sends a keep-alive every twelve seconds. */
const SILENCE_MS = 40_000;

/**
 * @typedef {object} Follower
 * @property {AbortSignal} signal ends it
 * @property {(invitation: Invitation) => void} onChange
 * @property {() => Promise<void>} catchUp loads the view's data after each connection
 * @property {(live: boolean) => void} onState whether the connection is open
 */

/**
 * Subscribes to the invitations of a community until the signal aborts.
 * @param {string} communityId
 * @param {Follower} follower
 */
export async function followInvitations(communityId, follower) {
  const { signal, onState } = follower;
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    await visible(signal);
    if (await listen(communityId, follower)) wait = FIRST_WAIT_MS;
    if (signal.aborted) return;
    onState(false);
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

/**
 * Keeps one connection until it fails.
 * @param {string} communityId
 * @param {Follower} follower
 * @returns {Promise<boolean>} whether the connection was established
 */
async function listen(communityId, { signal, onChange, catchUp, onState }) {
  const ended = new AbortController();
  const end = () => ended.abort();
  const hide = () => document.hidden && end();
  document.addEventListener("visibilitychange", hide, { signal: ended.signal });
  addEventListener("offline", end, { signal: ended.signal });
  signal.addEventListener("abort", end, { signal: ended.signal });
  let connected = false;
  try {
    const body = await connect(communityId, ended.signal);
    await catchUp();
    connected = true;
    onState(true);
    for await (const invitation of readEvents(body, end)) onChange(invitation);
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
  } finally {
    end();
  }
  return connected;
}

/**
 * @param {string} communityId
 * @param {AbortSignal} signal
 */
async function connect(communityId, signal) {
  const request = fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream", "accept-language": language, ...viewerHeader() },
    credentials: "same-origin",
    cache: "no-store",
    body: JSON.stringify({ query: INVITATION_CHANGED.document, variables: { communityId } }),
    signal,
  });
  const response = await request.catch(() => null);
  if (!response?.ok || !response.body) throw new RequestFailed("There is no connection.");
  return response.body;
}

/**
 * The invitations in a stream of events, until it ends or a keep-alive is missing.
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} onSilence
 * @returns {AsyncGenerator<Invitation>}
 */
async function* readEvents(body, onSilence) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const watchdog = setTimeout(onSilence, SILENCE_MS);
    const chunk = await reader.read().catch(() => null);
    clearTimeout(watchdog);
    if (!chunk || chunk.done) return;
    const events = (text + decoder.decode(chunk.value, { stream: true })).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) {
      const data = /^data: (.+)$/m.exec(event)?.[1];
      const onState = data && JSON.parse(data).data;
      if (onState) yield onState.invitationChanged;
    }
  }
}

/** @param {AbortSignal} signal */
function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const onVisible = () => (document.hidden ? undefined : resolve(undefined));
    document.addEventListener("visibilitychange", onVisible, { signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/**
 * Waits for some time, until the browser is online again, or until the signal aborts.
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const finish = () => {
      clearTimeout(timer);
      resolve(undefined);
    };
    signal.addEventListener("abort", finish, { once: true });
    addEventListener("online", finish, { once: true, signal });
  });
}
