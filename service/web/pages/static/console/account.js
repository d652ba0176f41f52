// The account: its sign-ins, sessions and access tokens.

import { ask } from "../api.js";
import * as api from "../operations.js";
import { address, button, confirm, h, notice, problemWords, isolated, show } from "../page.js";
import { timeAgo } from "../times.js";
import { formatDay, rich, t } from "../words.js";
import { accessTokens } from "./access-tokens.js";
import { Rows } from "./paged-list.js";
import { linkButtons, providersOf } from "./sign-in.js";
import { onVisible } from "./visible.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Identity} Identity */
/** @typedef {import("../operations.js").Session} Session */

/** @type {import("../console.js").View} */
export async function account(context) {
  const { viewer, providers } = await ask(api.ACCOUNT, {}, { signal: context.signal });
  if (!viewer) return context.endSession();
  const { name, email, displayEmail } = context.viewer.member;
  const ownProviders = providersOf(viewer.identities);
  const identities = new Rows(h("ul", { class: "rows" }), identity, viewer.identities);
  const sessions = new Rows(h("ul", { class: "rows" }), (session) => sessionRow(context, session), viewer.sessions);
  const tokens = accessTokens(context, viewer.accessTokens, ownProviders);
  const parts = [
    h("h1", null, t("account.title")),
    h("p", { class: "quiet" }, name && [isolated(name), " · "], email && address(email, displayEmail ?? email)),
    context.takeFlash(),
    h("h2", null, t("account.sign_ins")),
    h("p", { class: "quiet" }, t("account.sign_ins.text")),
    identities.element,
    addSignInPanel(linkButtons(providers, ownProviders, context.viewer.member.id, context.returnTo())),
    h("div", { class: "section-head" }, h("h2", null, t("account.sessions")), signOutEverywhereButton(context, viewer.accessTokens.length > 0)),
    sessions.element,
    ...tokens.parts,
  ];
  show(
    parts.filter((part) => part !== null),
    { title: t("account.title") },
  );
  onVisible(context.signal, async (signal) => {
    const { viewer } = await ask(api.ACCOUNT, {}, { signal });
    if (!viewer) return context.endSession();
    identities.replace(viewer.identities);
    sessions.replace(viewer.sessions);
    tokens.show(viewer.accessTokens);
  });
}

/** @param {Node} buttons */
const addSignInPanel = (buttons) =>
  h("section", { class: "panel" }, h("h3", null, t("account.add")), h("p", { class: "quiet" }, t("account.add.text")), buttons);

/** @param {Identity} identity */
function identity({ provider, email, displayEmail, linkedAt, lastUsedAt }) {
  const lastUse = lastUsedAt ? [" · ", ...rich("account.used", { when: timeAgo(lastUsedAt) })] : [];
  return h(
    "li",
    { class: "row" },
    h("span", { class: "email" }, provider?.label ?? t("account.provider_gone")),
    h("span", { class: "progress quiet" }, email && [...address(email, displayEmail ?? email), " · "], t("account.linked", { date: formatDay(linkedAt) }), lastUse),
  );
}

/**
 * @param {ViewContext} context
 * @param {Session} session
 */
function sessionRow(context, session) {
  const { id, current, lastSeenAt, provider, userAgent } = session;
  const problems = h("div", { class: "problems" });
  const device = deviceOf(userAgent);
  const label = [t("account.session.end"), h("span", { class: "visually-hidden" }, ` ${device}`)];
  const end = button(label, { class: "button small", problems }, () => endSession(context, id, problems));
  const lastSeen = current ? [] : [" · ", ...rich("account.session.seen", { when: timeAgo(lastSeenAt) })];
  return h(
    "li",
    { class: "row" },
    h("span", { class: "email" }, device),
    current ? h("span", { class: "badge accepted" }, t("account.session.current")) : end,
    h("span", { class: "progress quiet" }, provider && t("account.session.with", { provider: provider.label }), lastSeen),
    problems,
  );
}

/**
 * @param {ViewContext} context
 * @param {string} sessionId
 * @param {Element} problems
 */
async function endSession(context, sessionId, problems) {
  const { signOut: answer } = await ask(api.SIGN_OUT, { input: { sessionId } });
  if (!("signedOut" in answer)) return problems.replaceChildren(notice("problem", ...problemWords(answer)));
  return context.reload({ kind: "done", text: t("account.session.ended") });
}

/**
 * @param {ViewContext} context
 * @param {boolean} hasTokens
 */
function signOutEverywhereButton(context, hasTokens) {
  const tokens = h("input", { type: "checkbox", name: "access-tokens" });
  const words = {
    title: t("account.everywhere.title"),
    text: t("account.everywhere.text"),
    extra: hasTokens ? h("label", { class: "check" }, tokens, t("account.everywhere.tokens")) : undefined,
    yes: t("account.everywhere"),
    no: t("cancel"),
  };
  return button(t("account.everywhere"), { class: "button small" }, () =>
    confirm(words, async () => {
      await ask(api.SIGN_OUT, { input: { everywhere: true, accessTokens: tokens.checked } });
      history.replaceState(null, "", "/");
      await context.reload({ kind: "done", text: t("sign_in.out.everywhere") });
      return true;
    }),
  );
}

/** @type {[RegExp, string][]} Ordered: a user agent also names similar browsers. */
const BROWSERS = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\//, "Firefox"],
  [/Chrom(e|ium)\//, "Chrome"],
  [/Safari\//, "Safari"],
];
/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];

/** @param {string | null} userAgent */
function deviceOf(userAgent) {
  const browser = BROWSERS.find(([pattern]) => pattern.test(userAgent ?? ""))?.[1];
  const system = SYSTEMS.find(([pattern]) => pattern.test(userAgent ?? ""))?.[1];
  if (browser && system) return t("account.session.on", { browser, system });
  return browser ?? userAgent?.slice(0, 60) ?? t("account.session.unknown");
}
