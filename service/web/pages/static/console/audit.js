// The audit log of a community, newest first, with a filter by kind, person and time.

import { RequestFailed, ask, latest } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, isolated, serviceText } from "../page.js";
import { formatTime, t } from "../words.js";
import { LAST_DAY, period } from "./days.js";
import { exportLink } from "./export-link.js";
import { select } from "./invitation-filter.js";
import { showMissing, isAdmin, moreButton, showNotFound, showCommunityPage } from "./community-page.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").AuditFilter} AuditFilter */
/** @typedef {import("../operations.js").LogEntry} LogEntry */
/** @typedef {Pick<import("../operations.js").Member, "id" | "name" | "displayEmail">} Member */
/** @typedef {import("../operations.js").CommunityWithLog} CommunityWithLog */
/** @typedef {import("../words.js").WordId} WordId */

const PAGE = 50;
const PEOPLE = 100;

/** The groups of the filter with their kinds of event. */
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
  const filter = filterFrom(context.query);
  const [answer, people] = await Promise.all([read(id, filter, signal), peopleOf(id, signal)]);
  const community = answer.community;
  if (!community) return showMissing(context, answer);
  if (!community.auditLog) return showNotFound(t("audit.not_yours.title"), t("audit.not_yours"));
  const list = h("div", { class: "stack" }, logRows(context, community, community.auditLog, filter));
  const link = exportLink(id, "audit", filter);
  const filtering = latest(signal);
  const applyFilter = (/** @type {URLSearchParams} */ query) =>
    filtering.run(async (signal) => {
      const filter = filterFrom(query);
      link.follow(filter);
      const fresh = await read(id, filter, signal);
      if (!fresh.community?.auditLog) return showMissing(context, fresh);
      list.replaceChildren(...logRows(context, community, fresh.community.auditLog, filter));
      announce(t("audit.shown", { count: fresh.community.auditLog.nodes.length }));
    });
  const form = filterForm(context, community.auditLog.nodes, people, applyFilter);
  const title = h("div", { class: "section-head" }, h("h2", null, t("audit.title")), link.element);
  showCommunityPage(community, "audit", [context.takeFlash(), title, form, list]);
}

/**
 * @param {string} id
 * @param {AuditFilter} filter
 * @param {AbortSignal} signal
 * @param {string | null} after
 */
const read = (id, filter, signal, after = null) => ask(api.AUDIT, { id, filter, first: PAGE, after }, { signal });

/**
 * The persons for the filter: one page of members, admins first. The log itself adds further actors.
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
 * @param {URLSearchParams} query
 * @returns {AuditFilter}
 */
function filterFrom(query) {
  const kinds = KINDS[/** @type {Group} */ (query.get("kind"))];
  return { ...(kinds && { kinds }), ...(query.get("actor") && { actorId: query.get("actor") ?? "" }), ...periodOf(query) };
}

/**
 * The period of a query. The last day counts only if it is not before the first.
 * @param {URLSearchParams} query
 */
function periodOf(query) {
  const { after, before } = period(query.get("from"), query.get("to"));
  return { ...(after && { after }), ...(before && !(after && after >= before) && { before }) };
}

/**
 * @param {ViewContext} context
 * @param {LogEntry[]} entries
 * @param {Member[]} people
 * @param {(query: URLSearchParams) => Promise<unknown>} applyFilter
 */
function filterForm(context, entries, people, applyFilter) {
  const { query } = context;
  /** @type {[string, string][]} */
  const groups = GROUPS.map((group) => [group, t(`audit.kind.${group}`)]);
  const kind = field(select([["", t("audit.any_kind")], ...groups], query.get("kind")), t("audit.kind"));
  const actor = field(
    select([["", t("audit.anybody")], ...actors(entries, people, query.get("actor"))], query.get("actor")),
    t("audit.actor"),
  );
  const from = field(h("input", { type: "date", max: LAST_DAY, value: query.get("from") }), t("audit.from"));
  const to = field(h("input", { type: "date", max: LAST_DAY, value: query.get("to") }), t("audit.to"));
  const form = h(
    "form",
    { class: "filter log", role: "search", "aria-label": t("filter.title") },
    kind.element,
    actor.element,
    from.element,
    to.element,
  );
  const controls = { kind, actor, from, to };
  form.addEventListener("change", () => {
    to.setError(null);
    if (from.control.valueAsNumber > to.control.valueAsNumber) return to.setError(t("audit.period"));
    const chosen = Object.entries(controls).map(([name, { control }]) => [name, control.value]);
    const query = new URLSearchParams(chosen.filter(([, value]) => value));
    context.setQuery(query, { step: true });
    void applyFilter(query).catch((error) => to.setError(messageOf(error)));
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

/** @param {unknown} error */
function messageOf(error) {
  if (error instanceof RequestFailed) return error.message;
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
const nameOf = ({ name, displayEmail }) => name ?? displayEmail ?? t("members.nameless");

// ------------------------------------------------------------------------------------------------------------------ log

/**
 * @param {ViewContext} context
 * @param {CommunityWithLog} community
 * @param {NonNullable<CommunityWithLog["auditLog"]>} page
 * @param {AuditFilter} filter
 */
function logRows(context, { id }, page, filter) {
  if (page.nodes.length === 0) return [emptyMessage(context)];
  const row = (/** @type {LogEntry} */ entry) => logRow(id, entry);
  const list = h("ol", { class: "rows" }, page.nodes.map(row));
  let cursor = page.pageInfo.endCursor;
  const more = moreButton(async () => {
    const answer = await read(id, filter, context.signal, cursor);
    if (!answer.viewer) await context.endSession();
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
function emptyMessage(context) {
  const clear = button(t("filter.clear"), { class: "button small" }, () => {
    context.setQuery(new URLSearchParams(), { step: true });
    return context.reload();
  });
  return h("div", { class: "empty" }, h("h3", null, t("audit.none.title")), h("p", null, t("audit.none")), clear);
}

/**
 * @param {string} communityId
 * @param {LogEntry} entry
 */
function logRow(communityId, entry) {
  const { kind, at, actor, invitation } = entry;
  const group = GROUPS.find((group) => KINDS[group].includes(kind));
  const about =
    invitation && h("a", { href: `#/communities/${communityId}/invitations/${invitation.id}` }, isolated(invitation.displayEmail));
  return h(
    "li",
    { class: "row entry" },
    h("span", { class: "email" }, serviceText(entry.summary)),
    h("span", { class: "badge" }, group ? t(`audit.kind.${group}`) : kind),
    h(
      "span",
      { class: "progress quiet" },
      h("time", { datetime: at }, formatTime(at)),
      actor && [" · ", isolated(nameOf(actor))],
      about && [" · ", about],
    ),
  );
}
