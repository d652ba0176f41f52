// The public GraphQL API, as any other page would use it: POST, JSON, the browser's own cookies.

import { t } from "./words.js";

const PATIENCE_MS = 20_000;

/** Raised when the service could not be asked, or answered with something else than data; `message` is for a person. */
export class Unanswered extends Error {}

/**
 * A refusal of the API: a member of a result union that implements Problem.
 * @typedef {{ __typename: string, message: string, retryAfterSeconds?: number, field?: string }} Problem
 */

/**
 * Sends one operation. Raises Unanswered when it came to nothing, with a sentence that says what to do.
 * @template Data
 * @template Variables
 * @param {import("./operations.js").Operation<Data, Variables>} operation
 * @param {Variables} variables
 * @returns {Promise<Data>}
 */
export async function ask(operation, variables) {
  const response = await post(JSON.stringify({ query: operation.document, variables }));
  keepTime(response);
  const answer = await read(response);
  if (answer?.errors?.length) throw new Unanswered(errorWords(answer.errors[0]));
  if (!response.ok || !answer?.data) throw new Unanswered(t(response.status === 429 ? "failed.too_often" : "failed.service"));
  return answer.data;
}

/** @param {{ message: string, extensions?: { code?: string } }} error */
function errorWords({ message, extensions }) {
  if (extensions?.code === "RATE_LIMITED") return t("failed.too_often");
  return extensions?.code === "INTERNAL" || extensions?.code === "TIMEOUT" ? t("failed.service") : message;
}

/** @param {string} body */
async function post(body) {
  try {
    return await fetch("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json" },
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
      body,
    });
  } catch {
    throw new Unanswered(navigator.onLine ? t("failed.unreachable") : t("failed.offline"));
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

let ahead = 0;

/**
 * Keeps how far the service's clock is ahead of this machine's: deadlines are told in the service's time.
 * @param {Response} response
 */
function keepTime(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isFinite(date) && Math.abs(date - Date.now()) > 2_000) ahead = date - Date.now();
}

/** The service's present time, in milliseconds of the epoch. */
export function now() {
  return Date.now() + ahead;
}
