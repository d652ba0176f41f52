// Who did what in a community, newest first, by kind, person and time.

import { Unanswered, ask, latest } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, said, serviceText } from "../page.js";
import { moment, t } from "../words.js";
import { select } from "./invitation-filter.js";
import { gone, isAdmin, moreButton, nothingThere, showPlace } from "./place.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").AuditFilter} AuditFilter */
/** @typedef {import("../operations.js").LogEntry} LogEntry */
/** @typedef {import("../operations.js").Member} Member */
/** @typedef {import("../operations.js").CommunityWithLog} CommunityWithLog */
/** @typedef {import("../words.js").WordId} WordId */

const PAGE = 50;
const PEOPLE = 100;

/** What people look for, and the kinds of event that tell it. */
const KINDS = {
  invited: ["invitation.created", "invitation.resent", "invitation.reopened", "invitation.revoked"],
  mailed: [
    "invitation.sent",
    "invitation.delivered",
    "invitation.delayed",
    "invitation.bounced",
    "invitation.complained",
    "invitation.suppressed",
    "invitation.delivery_failed",
    "invitation.fresh_link_requested",
    "address.block_notice_sent",
    "address.block_notice_failed",
  ],
  answered: [
    "invitation.sign_in_started",
    "invitation.code_required",
    "invitation.accepted",
    "invitation.declined",
    "address.blocked",
    "address.block_lifted",
    "invitation.other_address_requested",
  ],
  refused: ["invitation.accept_refused", "invitation.rate_limited"],
  membership: [
    "community.created",
    "membership.joined",
    "membership.role_changed",
    "membership.removed",
    "membership.left",
    "member.erased",
    "invitation.erased",
  ],
  rules: ["policy.changed"],
  tokens: ["access_token.created", "access_token.revoked"],
};

/** @typedef {keyof typeof KINDS} Group */
/** @type {Group[]} */
const GROUPS = /** @type {Group[]} */ (Object.keys(KINDS));

/** @type {import("../console.js").View} */
export async function audit(context, id = "") {
  const { signal } = context;
  const filter = wantedIn(context.asked);
  const [answer, people] = await Promise.all([read(id, filter, signal), peopleOf(id, signal)]);
  const place = answer.community;
  if (!place) return gone(context, answer);
  if (!place.auditLog) return nothingThere(t("audit.not_yours.title"), t("audit.not_yours"));
  const list = h("div", { class: "stack" }, log(context, place, place.auditLog, filter));
  const narrowing = latest(signal);
  const narrow = (/** @type {URLSearchParams} */ query) =>
    narrowing.run(async (signal) => {
      const wanted = wantedIn(query);
      const fresh = await read(id, wanted, signal);
      if (!fresh.community?.auditLog) return gone(context, fresh);
      list.replaceChildren(...log(context, place, fresh.community.auditLog, wanted));
      announce(t("audit.shown", { count: fresh.community.auditLog.nodes.length }));
    });
  const form = filterForm(context, place.auditLog.nodes, people, narrow);
  const link = h("a", { class: "link", href: `/export/${id}/audit.csv`, download: "audit.csv" }, t("export"));
  const title = h("div", { class: "section-head" }, h("h2", null, t("audit.title")), link);
  showPlace(place, "audit", [context.flash(), title, form, list]);
}

/**
 * @param {string} id
 * @param {AuditFilter} filter
 * @param {AbortSignal} signal
 * @param {string | null} after
 */
const read = (id, filter, signal, after = null) => ask(api.AUDIT, { id, filter, first: PAGE, after }, { signal });

/**
 * Those who may have done something, as far as one page of members tells; whoever else did stands in the log itself.
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function peopleOf(id, signal) {
  const { community } = await ask(api.MEMBERS, { id, first: PEOPLE, after: null }, { signal });
  const memberships = community?.memberships.nodes ?? [];
  return [...memberships].sort((a, b) => Number(isAdmin(b.role)) - Number(isAdmin(a.role))).map(({ member }) => member);
}

// -------------------------------------------------------------------------------------------------------------- filter

/**
 * @param {URLSearchParams} asked
 * @returns {AuditFilter}
 */
function wantedIn(asked) {
  const kinds = KINDS[/** @type {Group} */ (asked.get("kind"))];
  const after = startOf(asked.get("from"));
  const before = startOf(asked.get("to"), 1);
  const period = after && before && after >= before ? { after } : { ...(after && { after }), ...(before && { before }) };
  return { ...(kinds && { kinds }), ...(asked.get("actor") && { actorId: asked.get("actor") ?? "" }), ...period };
}

/**
 * The instant at which a day begins where the reader is.
 * @param {string | null} date YYYY-MM-DD
 * @param {number} later how many days after it
 */
function startOf(date, later = 0) {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(date ?? "") ?? [];
  const start = new Date(Number(year), Number(month) - 1, Number(day) + later);
  return Number.isNaN(start.getTime()) ? null : start.toISOString();
}

/**
 * @param {ViewContext} context
 * @param {LogEntry[]} entries
 * @param {Member[]} people
 * @param {(query: URLSearchParams) => Promise<unknown>} narrow
 */
function filterForm(context, entries, people, narrow) {
  const { asked } = context;
  /** @type {[string, string][]} */
  const groups = GROUPS.map((group) => [group, t(`audit.kind.${group}`)]);
  const kind = field(select([["", t("audit.any_kind")], ...groups], asked.get("kind")), t("audit.kind"));
  const actor = field(
    select([["", t("audit.anybody")], ...actors(entries, people, asked.get("actor"))], asked.get("actor")),
    t("audit.actor"),
  );
  const from = field(h("input", { type: "date", value: asked.get("from") }), t("audit.from"));
  const to = field(h("input", { type: "date", value: asked.get("to") }), t("audit.to"));
  const form = h(
    "form",
    { class: "filter log", role: "search", "aria-label": t("filter.title") },
    kind.element,
    actor.element,
    from.element,
    to.element,
  );
  const given = { kind, actor, from, to };
  form.addEventListener("change", () => {
    to.wrong(null);
    if (from.control.value && to.control.value && from.control.value > to.control.value) return to.wrong(t("audit.period"));
    const chosen = Object.entries(given).map(([name, { control }]) => [name, control.value]);
    const wanted = new URLSearchParams(chosen.filter(([, value]) => value));
    context.address(wanted, { step: true });
    void narrow(wanted).catch((error) => to.wrong(wordsOf(error)));
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

/** @param {unknown} error */
function wordsOf(error) {
  if (error instanceof Unanswered) return error.message;
  throw error;
}

/**
 * @param {LogEntry[]} entries
 * @param {Member[]} people
 * @param {string | null} chosen
 * @returns {[string, string][]}
 */
function actors(entries, people, chosen) {
  const known = new Map(people.map((member) => [member.id, member]));
  for (const { actor } of entries) if (actor && !known.has(actor.id)) known.set(actor.id, actor);
  const options = [...known.values()].map((member) => /** @type {[string, string]} */ ([member.id, nameOf(member)]));
  return chosen && !known.has(chosen) ? [...options, [chosen, t("audit.somebody")]] : options;
}

/** @param {Member} member */
const nameOf = ({ name, email }) => name ?? email ?? t("members.nameless");

// ------------------------------------------------------------------------------------------------------------------ log

/**
 * @param {ViewContext} context
 * @param {CommunityWithLog} place
 * @param {NonNullable<CommunityWithLog["auditLog"]>} page
 * @param {AuditFilter} filter
 */
function log(context, { id }, page, filter) {
  if (page.nodes.length === 0) return [nothing(context)];
  const row = (/** @type {LogEntry} */ entry) => line(id, entry);
  const list = h("ol", { class: "rows" }, page.nodes.map(row));
  let cursor = page.pageInfo.endCursor;
  const more = moreButton(async () => {
    const answer = await read(id, filter, context.signal, cursor);
    if (!answer.viewer) await context.signedOut();
    const next = answer.community?.auditLog;
    cursor = next?.pageInfo.endCursor ?? null;
    const items = (next?.nodes ?? []).map(row);
    items[0]?.setAttribute("tabindex", "-1");
    list.append(...items);
    return { first: items[0], count: items.length, more: next?.pageInfo.hasNextPage ?? false };
  });
  return page.pageInfo.hasNextPage ? [list, more] : [list];
}

/** @param {ViewContext} context */
function nothing(context) {
  const clear = button(t("filter.clear"), { class: "button small" }, () => {
    context.address(new URLSearchParams(), { step: true });
    return context.again();
  });
  return h("div", { class: "empty" }, h("h3", null, t("audit.none.title")), h("p", null, t("audit.none")), clear);
}

/**
 * @param {string} communityId
 * @param {LogEntry} entry
 */
function line(communityId, entry) {
  const { kind, at, actor, invitation } = entry;
  const group = GROUPS.find((group) => KINDS[group].includes(kind));
  const about =
    invitation && h("a", { href: `#/communities/${communityId}/invitations/${invitation.id}` }, said(invitation.email));
  return h(
    "li",
    { class: "row entry" },
    h("span", { class: "email" }, serviceText(entry.summary)),
    h("span", { class: "badge" }, group ? t(`audit.kind.${group}`) : kind),
    h(
      "span",
      { class: "progress quiet" },
      h("time", { datetime: at }, moment(at)),
      actor && [" · ", said(nameOf(actor))],
      about && [" · ", about],
    ),
  );
}
