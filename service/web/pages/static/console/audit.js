// The audit log of a community, newest first, with a filter by kind, person and time.

import { RequestFailed, ask, latest } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, isolated, serviceText } from "../page.js";
import { formatTime, t } from "../words.js";
import { LAST_DAY, period } from "./days.js";
import { exportLink } from "./export-link.js";
import { select } from "./invitation-filter.js";
import { showMissing, isAdmin, showNotFound, showCommunityPage } from "./community-page.js";
import { PagedList, readRows } from "./paged-list.js";
import { onVisible } from "./visible.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").AuditFilter} AuditFilter */
/** @typedef {import("../operations.js").LogEntry} LogEntry */
/** @typedef {Pick<import("../operations.js").Member, "id" | "name" | "displayEmail">} Member */
/** @typedef {import("../words.js").WordId} WordId */

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

/** @typedef {import("../../operation-types").AuditData} AuditData */

/** @type {import("../console.js").View} */
export async function audit(context, id = "") {
  const { signal } = context;
  const log = new Log(context, id);
  const filter = filterFrom(context.query);
  const [page, people] = await Promise.all([readRows(log.read(filter), context.rows, signal), peopleOf(id, signal)]);
  const { community } = log.answer;
  if (!community) return showMissing(context, log.answer);
  if (!page) return showNotFound(t("audit.not_yours.title"), t("audit.not_yours"));
  log.show(filter, page);
  const link = exportLink(id, "audit", filter);
  const filtering = latest(signal);
  const applyFilter = (/** @type {URLSearchParams} */ query) =>
    filtering.run(async (signal) => {
      const filter = filterFrom(query);
      link.follow(filter);
      const fresh = await readRows(log.read(filter), 0, signal);
      if (!fresh) return log.showMissing();
      log.show(filter, fresh);
      announce(t("audit.shown", { count: fresh.nodes.length }));
    });
  const form = filterForm(context, page.nodes, people, applyFilter);
  const title = h("div", { class: "section-head" }, h("h2", null, t("audit.title")), link.element);
  showCommunityPage(community, "audit", [context.takeFlash(), title, form, log.element]);
  onVisible(signal, (signal) => log.refresh(signal));
}

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

/** The entries that a filter selects, or a message that there are none. */
class Log {
  answer = /** @type {AuditData} */ ({});
  /** @type {AuditFilter} */
  filter = {};
  /** @type {PagedList<LogEntry> | null} null without entries */
  list = null;

  /**
   * @param {ViewContext} context
   * @param {string} id of the community
   */
  constructor(context, id) {
    this.context = context;
    this.id = id;
    this.element = h("div", { class: "stack" });
  }

  /**
   * @param {AuditFilter} filter
   * @returns {import("./paged-list.js").ReadPage<LogEntry>}
   */
  read(filter) {
    return async ({ after, first }, signal) => {
      this.answer = await ask(api.AUDIT, { id: this.id, filter, first, after }, { signal });
      return this.answer.community?.auditLog ?? null;
    };
  }

  /**
   * @param {AuditFilter} filter
   * @param {import("./paged-list.js").Page<LogEntry>} page
   */
  show(filter, page) {
    this.filter = filter;
    this.list = page.nodes.length > 0 ? this.#listOf(filter, page) : null;
    this.element.replaceChildren(...(this.list?.parts ?? [emptyMessage(this.context)]));
  }

  /**
   * @param {AuditFilter} filter
   * @param {import("./paged-list.js").Page<LogEntry>} page
   */
  #listOf(filter, page) {
    return new PagedList(this.context.signal, this.read(filter), {
      element: h("ol", { class: "rows" }),
      render: (entry) => logRow(this.id, entry),
      page,
      onMissing: () => this.showMissing(),
    });
  }

  /** Shows the sign-in, or the view that the reader may see now. */
  showMissing() {
    return this.answer.viewer ? this.context.reload() : this.context.endSession();
  }

  /** @param {AbortSignal} signal */
  async refresh(signal) {
    if (this.list) return this.list.refresh();
    const { filter } = this;
    const page = await readRows(this.read(filter), 0, signal);
    if (!page) return this.showMissing();
    if (page.nodes.length > 0 && filter === this.filter && !this.list) this.show(filter, page);
  }
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
