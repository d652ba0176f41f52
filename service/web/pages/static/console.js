// The console of members and admins: the session, and the view for each address.

import { RequestFailed, ask, latest } from "./api.js";
import { account } from "./console/account.js";
import { audit } from "./console/audit.js";
import { invitations } from "./console/invitations.js";
import { keepDraft, restoreDraft } from "./console/drafts.js";
import { home } from "./console/home.js";
import { invitation } from "./console/invitation.js";
import { inviteMany } from "./console/invite-many.js";
import { members } from "./console/members.js";
import { arrive, findPlace, forgetPlace, leavePlace, rememberPlaces } from "./console/places.js";
import { policy } from "./console/policy.js";
import { signIn } from "./console/sign-in.js";
import "./console/words.js";
import * as api from "./operations.js";
import { stopOnFailure } from "./failure.js";
import { announce, button, busy, canRun, h, notice, elementById, show, translate } from "./page.js";
import { takeSignIn } from "./providers.js";
import { setViewer } from "./viewer.js";
import { t } from "./words.js";

/** @typedef {import("./operations.js").Viewer} Viewer */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./operations.js").SignInOutcome} SignInOutcome */

/**
 * The arguments of a view.
 * @typedef {object} ViewContext
 * @property {Viewer} viewer
 * @property {AbortSignal} signal aborts when the reader goes to another view
 * @property {URLSearchParams} query the part of the address after "?"
 * @property {number} rows the number of rows that the reader had loaded here before; 0 for a new entry of the history
 * @property {(query: URLSearchParams, how?: { step?: boolean }) => void} setQuery writes the query into the address; `step` adds an entry to the history
 * @property {() => HTMLElement | null} takeFlash returns the pending message once
 * @property {(flash: Flash) => void} setFlash sets the message for the next view
 * @property {() => string} returnTo the return address for a sign-in that starts here
 * @property {(flash?: Flash) => Promise<void>} reload loads the session and the view again
 * @property {() => Promise<void>} endSession shows the sign-in, and keeps the typed values for the return
 */
/** @typedef {{ kind: import("./page.js").Kind, text: string }} Flash */
/** @typedef {(context: ViewContext, ...ids: string[]) => Promise<void>} View */

/** @type {[RegExp, View][]} The addresses of the views. */
const VIEWS = [
  [/^\/?$/, home],
  [/^\/account$/, account],
  [/^\/communities\/([\w-]+)$/, invitations],
  [/^\/communities\/([\w-]+)\/members$/, members],
  [/^\/communities\/([\w-]+)\/audit$/, audit],
  [/^\/communities\/([\w-]+)\/rules$/, policy],
  [/^\/communities\/([\w-]+)\/invite$/, inviteMany],
  [/^\/communities\/([\w-]+)\/invitations\/([\w-]+)$/, invitation],
];

/** @type {{ viewer: Viewer | null, signInOutcome: SignInOutcome | null, providers: Provider[] } | null} */
let session = null;
/** @type {Flash | null} */
let flash = null;
const opening = latest();

/** The path and the query of the view's address. */
const path = () => location.hash.slice(1).split("?")[0] || "/";
const query = () => new URLSearchParams(location.hash.split("?")[1] ?? "");

/** Shows the view of the address. Loads the session first if it is unknown. */
const open = () =>
  opening.run(async (signal) => {
    const slow = setTimeout(() => signal.aborted || elementById("view").setAttribute("aria-busy", "true"), 200);
    leavePlace();
    try {
      if (!session || path() === "/") session = await loadSession(signal);
      await render(signal);
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      showRequestFailure(error.message);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) elementById("view").removeAttribute("aria-busy");
    }
  });

/** @param {AbortSignal} signal */
async function loadSession(signal) {
  const isReturn = takeReturnMark();
  const answer = await ask(api.SESSION, { signInId: isReturn ? takeSignIn() : null }, { signal, asAnyone: true });
  setViewer(answer.viewer?.member.id ?? null);
  if (isReturn) flash = flashOf(answer.signInOutcome);
  topBar(answer.viewer);
  return answer;
}

/** @param {AbortSignal} signal */
async function render(signal) {
  const place = findPlace();
  if (!session?.viewer) return signIn(session?.providers ?? [], takeFlash(), returnTo());
  const [pattern, view] = VIEWS.find(([pattern]) => pattern.test(path())) ?? [/^/, notFound];
  const ids = pattern.exec(path())?.slice(1) ?? [];
  const setFlash = (/** @type {Flash} */ next) => void (flash = next);
  const { viewer } = session;
  // Several requests of one view may find that the session has ended. Only the first one shows the sign-in.
  const endSession = async () => void (signal.aborted || (await leave(viewer)));
  const rows = place?.rows ?? 0;
  await view({ viewer, signal, query: query(), rows, setQuery, takeFlash, setFlash, returnTo, reload, endSession }, ...ids);
  if (signal.aborted) return;
  restoreDraft(viewer.member.id, path());
  arrive(place);
}

/** @type {ViewContext["setQuery"]} */
function setQuery(query, { step = false } = {}) {
  const text = query.toString();
  const hash = `#${path()}${text && `?${text}`}`;
  if (hash === location.hash) return;
  if (!step) return history.replaceState(history.state, "", hash);
  leavePlace();
  history.pushState(null, "", hash);
  findPlace();
  arrive();
}

/** @param {Viewer} viewer whose session has ended */
async function leave(viewer) {
  keepDraft(viewer.member.id, path());
  document.querySelector("dialog")?.close();
  await reload({ kind: "note", text: t("sign_in.ended") });
}

// --------------------------------------------------------------------------------------------------- the viewer may change

const checking = latest();

/** Starts over, because another tab signed in as another member. Input of the earlier member is not theirs to see. */
async function startOver() {
  document.querySelector("dialog")?.close();
  history.replaceState(null, "", "/");
  await reload({ kind: "note", text: t("viewer.changed") });
}

/** Compares the session with the one that the page shows, when the page becomes visible again. */
const checkSession = () =>
  checking.run(async (signal) => {
    const before = session;
    if (document.hidden || !before) return;
    const viewer = await viewerOfSession(signal);
    if (viewer === undefined || session !== before) return;
    if (!viewer && before.viewer) await leave(before.viewer);
    // The response of another member has already dispatched `viewerchanged`.
    if (viewer && !before.viewer) await reload();
  });

/**
 * The member of the session, or null; undefined when the request fails.
 * @param {AbortSignal} signal
 */
async function viewerOfSession(signal) {
  try {
    return (await ask(api.CURRENT_VIEWER, {}, { signal })).viewer;
  } catch (error) {
    if (!(error instanceof RequestFailed)) throw error;
    return undefined;
  }
}

/** @type {View} */
async function notFound() {
  show(
    [
      h("h1", null, t("not_found.title")),
      h("p", null, t("not_found.text")),
      h("p", null, h("a", { href: "#/" }, t("home.title"))),
    ],
    { title: t("not_found.title") },
  );
}

function takeFlash() {
  if (!flash) return null;
  const { kind, text } = flash;
  flash = null;
  announce(text);
  return notice(kind, text);
}

/** @type {ViewContext["reload"]} */
async function reload(next) {
  forgetPlace();
  session = null;
  flash = next ?? null;
  await open();
}

/** @param {string} message */
function showRequestFailure(message) {
  show(
    [
      h("h1", null, t("failed.title")),
      notice("problem", message),
      h("div", { class: "actions" }, button(t("again"), { class: "button primary" }, open)),
    ],
    { title: t("failed.title") },
  );
}

// ----------------------------------------------------------------------------------------------- leaving for a provider

const BACK = "back";

/** The return address of a sign-in: this view, with a mark to show the outcome once. */
const returnTo = () => `/?${BACK}${location.hash}`;

function takeReturnMark() {
  if (!new URLSearchParams(location.search).has(BACK)) return false;
  history.replaceState(history.state, "", location.pathname + location.hash);
  return true;
}

/**
 * @param {SignInOutcome | null} outcome
 * @returns {Flash | null}
 */
function flashOf(outcome) {
  if (!outcome || outcome.status === "SIGNED_IN") return null;
  return { kind: outcome.status === "IDENTITY_LINKED" ? "done" : "problem", text: outcome.message };
}

// -------------------------------------------------------------------------------------------------------------- top bar

/** @param {Viewer | null} viewer */
function topBar(viewer) {
  const nav = elementById("account-nav");
  nav.replaceChildren();
  if (!viewer) return;
  const signOutButton = h("button", { type: "button", class: "link" }, t("nav.sign_out"));
  signOutButton.addEventListener("click", () => void busy(signOutButton, elementById("view"), signOut));
  nav.append(h("a", { class: "link", href: "#/account" }, t("nav.account")), signOutButton);
}

async function signOut() {
  await ask(api.SIGN_OUT, { input: {} });
  history.replaceState(null, "", "/");
  await reload({ kind: "done", text: t("sign_in.out") });
}

translate(document);
if (canRun) {
  rememberPlaces();
  addEventListener("hashchange", () => void stopOnFailure(open()));
  addEventListener("pageshow", (event) => {
    session = event.persisted ? null : session;
    if (event.persisted) void stopOnFailure(open());
  });
  addEventListener("viewerchanged", () => void stopOnFailure(startOver()));
  addEventListener("beforefailure", () => session?.viewer && keepDraft(session.viewer.member.id, path()));
  document.addEventListener("visibilitychange", () => void stopOnFailure(checkSession()));
  void stopOnFailure(open());
}
