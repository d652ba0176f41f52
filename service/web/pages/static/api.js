// Requests to the public GraphQL API: POST, JSON, and the browser's cookies.

import { keepTime } from "./clock.js";
import { checkViewer, viewerHeader } from "./viewer.js";
import { language, t } from "./words.js";

const PATIENCE_MS = 20_000;

/** A request without a usable answer. Its `message` is a sentence for the reader. */
export class RequestFailed extends Error {}

/**
 * An expected error of the API: a member of a result union that implements Problem.
 * @typedef {{ __typename: string, message: string, retryAfterSeconds?: number, field?: string }} Problem
 */

/**
 * Sends one operation. Throws RequestFailed, with a sentence for the reader, when the request fails; throws the signal's
 * reason when the signal aborts it.
 * @template Data
 * @template Variables
 * @param {import("./operations.js").Operation<Data, Variables>} operation
 * @param {Variables} variables
 * @param {{ signal?: AbortSignal, asAnyone?: boolean }} [options] `asAnyone`: for the session's member, whom the page may not show yet
 * @returns {Promise<Data>}
 */
export async function ask(operation, variables, { signal, asAnyone = false } = {}) {
  const request = linkedController(signal);
  const timeout = setTimeout(() => request.abort(), PATIENCE_MS);
  try {
    const body = JSON.stringify({ query: operation.document, variables });
    const response = await post(body, asAnyone ? {} : viewerHeader(), request.signal);
    keepTime(response);
    if (!asAnyone) checkViewer(response);
    return dataOf(response, await read(response));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timeout);
    request.abort();
  }
}

/**
 * @param {Response} response
 * @param {any} answer
 */
function dataOf(response, answer) {
  if (answer?.errors?.length) throw new RequestFailed(errorWords(answer.errors[0]));
  if (!response.ok || !answer?.data) throw new RequestFailed(t(response.status === 429 ? "failed.too_often" : "failed.service"));
  return answer.data;
}

/** @param {{ message: string, extensions?: { code?: string } }} error */
function errorWords({ message, extensions }) {
  if (extensions?.code === "RATE_LIMITED") return t("failed.too_often");
  return extensions?.code === "INTERNAL" || extensions?.code === "TIMEOUT" ? t("failed.service") : message;
}

/**
 * @param {string} body
 * @param {Record<string, string>} viewer
 * @param {AbortSignal} signal
 */
async function post(body, viewer, signal) {
  try {
    return await fetch("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json", "accept-language": language, ...viewer },
      credentials: "same-origin",
      cache: "no-store",
      signal,
      body,
    });
  } catch {
    throw new RequestFailed(navigator.onLine ? t("failed.unreachable") : t("failed.offline"));
  }
}

/** @param {Response} response */
async function read(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

/**
 * A controller that also aborts when its parent does. Safari 16 has no AbortSignal.any.
 * @param {AbortSignal} [parent]
 */
function linkedController(parent) {
  const controller = new AbortController();
  if (parent?.aborted) controller.abort(parent.reason);
  parent?.addEventListener("abort", () => controller.abort(parent.reason), { signal: controller.signal });
  return controller;
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * Runs one task at a time: a new run aborts the signal of the run before it. An aborted run resolves to undefined.
 * @param {AbortSignal} [parent] aborts every run
 */
export function latest(parent) {
  let current = new AbortController();
  return {
    abort: () => current.abort(),
    /**
     * @template Result
     * @param {(signal: AbortSignal) => Promise<Result> | Result} task
     * @returns {Promise<Result | undefined>}
     */
    async run(task) {
      current.abort();
      const { signal } = (current = linkedController(parent));
      try {
        return await task(signal);
      } catch (error) {
        if (signal.aborted && isAbort(error)) return undefined;
        throw error;
      }
    },
  };
}
