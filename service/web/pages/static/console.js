// The console of members and admins: who is signed in, and which view the address asks for.

import { Unanswered, ask, latest } from "./api.js";
import { account } from "./console/account.js";
import { audit } from "./console/audit.js";
import { community } from "./console/community.js";
import { keepDraft, restoreDraft } from "./console/drafts.js";
import { home } from "./console/home.js";
import { invitation } from "./console/invitation.js";
import { inviteMany } from "./console/invite-many.js";
import { members } from "./console/members.js";
import { policy } from "./console/policy.js";
import { signIn } from "./console/sign-in.js";
import "./console/words.js";
import * as api from "./operations.js";
import { announce, button, busy, h, notice, part, show, translate } from "./page.js";
import { t } from "./words.js";

/** @typedef {import("./operations.js").Viewer} Viewer */
/** @typedef {import("./operations.js").Provider} Provider */
/** @typedef {import("./operations.js").SignInOutcome} SignInOutcome */

/**
 * What every view is given: who looks, and how to go on from there.
 * @typedef {object} ViewContext
 * @property {Viewer} viewer
 * @property {AbortSignal} signal aborts when the reader goes to another view
 * @property {URLSearchParams} asked what the address asks of the view, behind its "?"
 * @property {(asked: URLSearchParams, how?: { step?: boolean }) => void} address writes that into the address; as a step that "back" takes back
 * @property {() => HTMLElement | null} flash what the last view or a return wants said here, once
 * @property {(flash: Flash) => void} say what the next showing of this view says
 * @property {() => string} returnTo where a sign-in that begins here comes back to
 * @property {(flash?: Flash) => Promise<void>} again reads anew who is signed in, and shows the view from the start
 * @property {() => Promise<void>} signedOut leads to the sign-in and back here, and keeps what was typed
 */
/** @typedef {{ kind: import("./page.js").Kind, text: string }} Flash */
/** @typedef {(context: ViewContext, ...ids: string[]) => Promise<void>} View */

/** @type {[RegExp, View][]} Every view has an address of its own. */
const VIEWS = [
  [/^\/?$/, home],
  [/^\/account$/, account],
  [/^\/communities\/([\w-]+)$/, community],
  [/^\/communities\/([\w-]+)\/members$/, members],
  [/^\/communities\/([\w-]+)\/audit$/, audit],
  [/^\/communities\/([\w-]+)\/rules$/, policy],
  [/^\/communities\/([\w-]+)\/invite$/, inviteMany],
  [/^\/communities\/([\w-]+)\/invitations\/([\w-]+)$/, invitation],
];

/** @type {{ viewer: Viewer | null, signInOutcome: SignInOutcome | null, providers: Provider[] } | null} */
let who = null;
/** @type {Flash | null} */
let flash = null;
const opening = latest();

/** The view's part of the address, and what it asks of it. */
const path = () => location.hash.slice(1).split("?")[0] || "/";
const asked = () => new URLSearchParams(location.hash.split("?")[1] ?? "");

/** Shows the view of the address; asks first who is signed in, where that is not known. */
const open = () =>
  opening.run(async (signal) => {
    const slow = setTimeout(() => signal.aborted || part("view").setAttribute("aria-busy", "true"), 200);
    try {
      if (!who || path() === "/") who = await whoLooks(signal);
      await render(signal);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      unanswered(error.message);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) part("view").removeAttribute("aria-busy");
    }
  });

/** @param {AbortSignal} signal */
async function whoLooks(signal) {
  const answer = await ask(api.WHO, {}, { signal });
  if (cameBack()) flash = told(answer.signInOutcome);
  topBar(answer.viewer);
  return answer;
}

/** @param {AbortSignal} signal */
async function render(signal) {
  if (!who?.viewer) return signIn(who?.providers ?? [], flashed(), returnTo());
  const [pattern, view] = VIEWS.find(([pattern]) => pattern.test(path())) ?? [/^/, nowhere];
  const ids = pattern.exec(path())?.slice(1) ?? [];
  const say = (/** @type {Flash} */ told) => void (flash = told);
  const { viewer } = who;
  // Several questions of one view may meet the end of the session: the first of them leads to the sign-in.
  const signedOut = async () => void (signal.aborted || (await leave(viewer)));
  await view({ viewer, signal, asked: asked(), address, flash: flashed, say, returnTo, again, signedOut }, ...ids);
  if (!signal.aborted) restoreDraft(viewer.member.id, path());
}

/** @type {ViewContext["address"]} */
function address(wanted, { step = false } = {}) {
  const query = wanted.toString();
  const hash = `#${path()}${query && `?${query}`}`;
  if (hash !== location.hash) history[step ? "pushState" : "replaceState"](null, "", hash);
}

/** @param {Viewer} viewer whose session has ended */
async function leave(viewer) {
  keepDraft(viewer.member.id, path());
  document.querySelector("dialog")?.close();
  await again({ kind: "note", text: t("sign_in.ended") });
}

/** @type {View} */
async function nowhere() {
  show(
    [
      h("h1", null, t("not_found.title")),
      h("p", null, t("not_found.text")),
      h("p", null, h("a", { href: "#/" }, t("home.title"))),
    ],
    { title: t("not_found.title") },
  );
}

function flashed() {
  if (!flash) return null;
  const { kind, text } = flash;
  flash = null;
  announce(text);
  return notice(kind, text);
}

/** @type {ViewContext["again"]} */
async function again(told) {
  who = null;
  flash = told ?? null;
  await open();
}

/** @param {string} message */
function unanswered(message) {
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

/** Where a sign-in comes back to: this very view, and a mark that makes its outcome be told, once. */
const returnTo = () => `/?${BACK}${location.hash}`;

function cameBack() {
  if (!new URLSearchParams(location.search).has(BACK)) return false;
  history.replaceState(history.state, "", location.pathname + location.hash);
  return true;
}

/**
 * @param {SignInOutcome | null} outcome
 * @returns {Flash | null}
 */
function told(outcome) {
  if (!outcome || outcome.status === "SIGNED_IN") return null;
  return { kind: outcome.status === "IDENTITY_LINKED" ? "done" : "problem", text: outcome.message };
}

// -------------------------------------------------------------------------------------------------------------- top bar

/** @param {Viewer | null} viewer */
function topBar(viewer) {
  const nav = part("account-nav");
  nav.replaceChildren();
  if (!viewer) return;
  const out = h("button", { type: "button", class: "link" }, t("nav.sign_out"));
  out.addEventListener("click", () => void busy(out, part("view"), signOut));
  nav.append(h("a", { class: "link", href: "#/account" }, t("nav.account")), out);
}

async function signOut() {
  await ask(api.SIGN_OUT, { input: {} });
  history.replaceState(null, "", "/");
  await again({ kind: "done", text: t("sign_in.out") });
}

translate(document);
addEventListener("hashchange", () => void open());
addEventListener("pageshow", (event) => {
  if (event.persisted) void again();
});
void open();
