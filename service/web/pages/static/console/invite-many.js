// Invites many people: reads a list, checks each row, sends the rows in portions, and shows each result.

import { RequestFailed, ask, latest } from "../api.js";
import { now } from "../clock.js";
import { stopOnFailure } from "../failure.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, isolated } from "../page.js";
import { formatTime, joinList, t } from "../words.js";
import { keepDraft } from "./drafts.js";
import { localeField, messageField, policyWords, roleField } from "./invite-form.js";
import { checkRows, listOf, readRows, textOf } from "./invitee-list.js";
import { showMissing, isAdmin, showNotFound, showCommunityPage } from "./community-page.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Outcome} Outcome */
/** @typedef {import("../operations.js").Role} Role */
/** @typedef {import("../operations.js").Quota} Quota */
/** @typedef {import("../api.js").Problem} Problem */
/** @typedef {import("./invitee-list.js").Row} Row */
/** @typedef {import("../page.js").Child} Child */

/** "later" rows are beyond the limits; "unsent" rows can be sent again; "known" rows are members or were invited before. */
/** @typedef {"wrong" | "ready" | "later" | "sending" | "invited" | "known" | "refused" | "unsent"} State */
/** @typedef {Row & { state: State, result: Child[], element: HTMLTableRowElement, outcome: HTMLElement }} ListRow */

/** @type {State[]} The order of the results: failures first. */
const FIRST_TO_LAST = ["refused", "wrong", "unsent", "ready", "later", "sending", "known", "invited"];
const PORTION = 50;
const MOST_BYTES = 5_000_000;
const TYPED_MS = 200;
/** Limits that reset are asked for again after at least this time. */
const REFRESH_MS = 10_000;
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
/** Problems that may disappear later. */
const PASSING = ["RateLimited", "SeatLimitReached"];

/** @type {import("../console.js").View} */
export async function inviteMany(context, id = "") {
  const answer = await ask(api.INVITING, { id }, { signal: context.signal });
  const community = answer.community;
  if (!community) return showMissing(context, answer);
  if (!isAdmin(community.viewerRole)) return showNotFound(t("audit.not_yours.title"), t("audit.not_yours"));
  new ManyInvitees(context, community, community.quota).show();
}

class ManyInvitees {
  /** @type {ListRow[]} */
  rows = [];
  stopped = false;
  isRefused = false;
  /** The text of the list that the rows were read from. */
  readText = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  reset;

  /**
   * @param {ViewContext} context
   * @param {Community} community
   * @param {Quota | null} quota
   */
  constructor(context, community, quota) {
    this.context = context;
    this.community = community;
    this.quota = quota;
    this.refreshing = latest(context.signal);
    this.list = field(
      h("textarea", { name: "list", rows: "8", spellcheck: "false", autocapitalize: "off", class: "list" }),
      t("many.list"),
      t("many.list.hint"),
    );
    this.file = field(
      h("input", { type: "file", accept: ".csv,.txt,.tsv,text/csv,text/plain" }),
      t("many.file"),
      t("many.file.hint"),
    );
    this.role = roleField(community.viewerRole);
    this.message = messageField();
    this.locale = localeField();
    this.summary = h("p", { id: "many-summary" });
    this.limit = h("p", { class: "limit" });
    this.columns = h("p", { class: "hint columns-used" });
    this.progress = h("progress", { max: "1", value: "0", "aria-labelledby": "many-summary", hidden: true });
    this.problems = h("div", { class: "problems" });
    this.send = button(t("many.send", { count: 0 }), { class: "button primary", problems: this.problems }, () => this.#send());
    this.stop = button(t("many.stop"), { class: "button", hidden: true }, () => void (this.stopped = true));
    this.edit = button(t("many.edit"), { class: "button", hidden: true }, () => this.#edit());
    this.body = h("tbody");
    this.table = this.#table();
    this.input = this.#input();
  }

  show() {
    const back = h("p", { class: "crumb" }, h("a", { href: `#/communities/${this.community.id}` }, "← ", t("invitation.back")));
    const outcome = h(
      "div",
      { class: "panel outcome" },
      this.summary,
      this.limit,
      this.columns,
      this.progress,
      h("div", { class: "actions" }, this.send, this.stop, this.edit),
      this.problems,
      this.table,
    );
    const parts = [this.context.takeFlash(), back, h("h2", null, t("many.title")), this.input, outcome];
    showCommunityPage(this.community, "invitations", parts, t("many.title"));
    this.#read();
    const { signal } = this.context;
    addEventListener("beforeunload", (event) => this.#sending() && event.preventDefault(), { signal });
    addEventListener("pagehide", () => this.#keep(), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.reset));
  }

  // ---------------------------------------------------------------------------------------------------- the list

  #input() {
    const more = h(
      "details",
      { class: "more-fields" },
      h("summary", null, t("many.more")),
      this.message.element,
      this.locale.element,
    );
    const input = h(
      "section",
      { class: "panel drop" },
      this.list.element,
      h("div", { class: "invite-line" }, this.file.element, this.role.element),
      more,
      h("p", { class: "hint" }, policyWords(this.community)),
    );
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    this.list.control.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#isRead() || this.#read(), TYPED_MS);
    });
    this.role.control.addEventListener("change", () => this.#read());
    this.file.control.addEventListener("change", () => void this.#readFile(this.file.control.files?.[0]));
    input.addEventListener("dragover", (event) => event.preventDefault());
    input.addEventListener("drop", (event) => {
      const file = event.dataTransfer?.files[0];
      if (file) event.preventDefault();
      void this.#readFile(file);
    });
    return input;
  }

  /**
   * Copies the text of a file into the list, where it can be edited.
   * @param {File | undefined} file
   */
  async #readFile(file) {
    if (!file || this.#sending()) return;
    this.file.setError(null);
    const text = file.size > MOST_BYTES ? null : await textOf(file);
    if (text === null) return this.file.setError(t("many.file.unreadable", { name: file.name }));
    this.list.control.value = text.trim();
    this.#read();
    announce(this.summary.textContent ?? "");
  }

  /** Whether the rows are those of the list. Results of sent rows stay until the list changes. */
  #isRead = () => this.list.control.value === this.readText;

  /** Reads and checks the list, and shows each row with its problem. */
  #read() {
    if (this.#sending()) return;
    this.readText = this.list.control.value;
    const { rows, ...columns } = readRows(this.list.control.value);
    checkRows(rows, this.community);
    this.#showColumns(columns);
    this.rows = rows.map((row) => ({
      ...row,
      ...tableRow(row, this.#roleOf(row)),
      state: row.problem ? "wrong" : "ready",
      result: [row.problem || t("many.ready")],
    }));
    this.body.replaceChildren(...this.rows.map(({ element }) => element));
    this.rows.forEach(renderOutcome);
    this.#summarize();
  }

  /**
   * Shows the use of the columns of a header. A column that no list can set holds back the list: its invitations would be others
   * than the admin wants.
   * @param {{ column: string, isExport: boolean, unused: string[], unsupported: string[], leftOut: number }} columns
   */
  #showColumns({ column, isExport, unused, unsupported, leftOut }) {
    this.isRefused = unsupported.length > 0;
    this.columns.classList.toggle("refused", this.isRefused);
    this.columns.textContent = [
      this.isRefused && t("many.unsupported", { columns: joinList(unsupported) }),
      (isExport || unused.length > 0) && t("many.column", { column }),
      unused.length > 0 && t("many.unused", { columns: joinList(unused) }),
      leftOut > 0 && t("many.left_out", { count: leftOut }),
    ]
      .filter(Boolean)
      .join(" ");
    this.columns.hidden = !this.columns.textContent;
  }

  /** @param {Row} row */
  #roleOf = ({ role }) => /** @type {Role} */ (role || this.role.control.value);

  #sending = () => this.rows.some(({ state }) => state === "sending");

  /** @param {State[]} states */
  #rowsIn = (...states) => this.rows.filter(({ state }) => states.includes(state));

  /** Shows the summary of the list and the possible actions. */
  #summarize() {
    const waiting = this.#rowsIn("ready", "later", "unsent").length;
    const fitting = Math.min(waiting, this.#allowed());
    const done = this.#rowsIn("invited", "known", "refused", "unsent").length > 0;
    this.table.hidden = this.rows.length === 0;
    if (!this.#sending()) this.#markLater();
    this.#showLimit(waiting);
    this.#awaitReset(waiting);
    this.summary.textContent = this.rows.length === 0 ? t("many.nothing") : done ? this.#outcome() : this.#forecast();
    const sending = this.#sending();
    this.send.hidden = sending || (done && waiting === 0);
    this.send.textContent = t(done ? "many.again" : "many.send", { count: fitting || waiting });
    this.send.toggleAttribute("disabled", fitting === 0 || this.isRefused);
    this.stop.hidden = !sending;
    this.edit.hidden = sending || !done || this.#rowsIn("refused", "wrong").length === 0;
    this.progress.hidden = !sending;
    this.input.toggleAttribute("inert", sending);
  }

  /** The number of invitations that the limits allow now; Infinity without a limit. */
  #allowed() {
    const { byYou = null, byCommunity = null } = this.quota ?? {};
    return Math.min(byYou ?? Infinity, byCommunity ?? Infinity);
  }

  /** Marks the rows of the preview that the limits do not allow now. */
  #markLater() {
    const allowed = this.#allowed();
    this.#rowsIn("ready", "later").forEach((row, index) => {
      const state = index < allowed ? "ready" : "later";
      if (row.state !== state) setState(row, state, t(`many.${state}`));
    });
  }

  /**
   * Shows how many invitations the limits allow now, and how many of the waiting rows have to wait longer.
   * @param {number} waiting
   */
  #showLimit(waiting) {
    const { resetsAt = null } = this.quota ?? {};
    const allowed = this.#allowed();
    const over = waiting - allowed;
    this.limit.hidden = allowed === Infinity || this.rows.length === 0;
    this.limit.classList.toggle("exceeded", over > 0);
    this.limit.textContent = [
      t("many.limit", { count: allowed }),
      over > 0 && t("many.limit.over", { count: over }),
      over > 0 && resetsAt && t("many.limit.resets", { when: formatTime(resetsAt) }),
    ]
      .filter(Boolean)
      .join(" ");
  }

  async #refreshQuota(signal = this.context.signal) {
    try {
      const { community } = await ask(api.INVITING, { id: this.community.id }, { signal });
      this.quota = community?.quota ?? null;
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
    }
  }

  /**
   * Asks for the limits again when they allow more.
   * @param {number} waiting
   */
  #awaitReset(waiting) {
    clearTimeout(this.reset);
    if (waiting <= this.#allowed() || !this.quota?.resetsAt) return;
    const refresh = async (/** @type {AbortSignal} */ signal) => {
      await this.#refreshQuota(signal);
      if (!this.#sending()) this.#summarize();
    };
    const wait = Math.max(Date.parse(this.quota.resetsAt) - now() + 1000, REFRESH_MS);
    this.reset = setTimeout(() => void stopOnFailure(this.refreshing.run(refresh)), Math.min(wait, LONGEST_TIMEOUT_MS));
  }

  /** Shows the rows that need attention first, and otherwise keeps their order. */
  #sortResults() {
    this.body.append(...FIRST_TO_LAST.flatMap((state) => this.#rowsIn(state)).map(({ element }) => element));
  }

  #forecast() {
    const [ready, wrong] = [this.#rowsIn("ready", "later").length, this.#rowsIn("wrong").length];
    return [t("many.can", { count: ready }), wrong > 0 && t("many.cannot", { count: wrong })].filter(Boolean).join(" ");
  }

  #outcome() {
    const parts = /** @type {const} */ (["invited", "known", "refused", "unsent"]).map((state) => ({
      state,
      count: this.#rowsIn(state).length,
    }));
    return parts
      .filter(({ state, count }) => count > 0 || state === "invited")
      .map(({ state, count }) => t(`many.sum.${state}`, { count }))
      .join(" ");
  }

  #table() {
    const columns = /** @type {const} */ (["line", "address", "role", "outcome"]).map((name) =>
      h("th", { scope: "col" }, t(`many.${name}`)),
    );
    const head = h("thead", null, h("tr", null, columns));
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("many.rows") },
      h("table", { class: "many" }, head, this.body),
    );
  }

  // ---------------------------------------------------------------------------------------------------- sending

  /**
   * Sends the waiting rows in portions, until all are sent, the limits are reached, the reader stops, or a portion fails. Rows of
   * members and of earlier invitations spend nothing of the limits.
   */
  async #send() {
    // The admin has not seen the rows of a list that was typed just now.
    if (!this.#isRead()) return this.#read();
    const waiting = this.#rowsIn("ready", "later", "unsent");
    let allowed = this.#allowed();
    let sent = 0;
    this.stopped = false;
    this.progress.max = waiting.length;
    while (sent < waiting.length && allowed > 0 && !this.stopped && !this.context.signal.aborted) {
      const portion = waiting.slice(sent, sent + Math.min(PORTION, allowed));
      portion.forEach((row) => setState(row, "sending", t("many.sending")));
      this.progress.value = sent;
      this.#summarize();
      this.summary.textContent = t("many.progress", { sent, count: waiting.length });
      const problem = await this.#sendPortion(portion);
      if (problem?.__typename === "NotSignedIn") return this.#endSession();
      if (problem) this.#stopSending(problem);
      allowed -= portion.filter(({ state }) => state === "invited").length;
      sent += portion.length;
    }
    waiting.filter(({ state }) => state === "ready" || state === "later").forEach((row) => setState(row, "unsent", t("many.unsent")));
    await this.#refreshQuota();
    this.#sortResults();
    this.#summarize();
    announce(this.summary.textContent ?? "");
    if (this.send.hidden) (this.edit.hidden ? this.list.control : this.edit).focus();
  }

  /**
   * @param {ListRow[]} portion
   * @returns {Promise<Problem | null>} the problem of the whole portion
   */
  async #sendPortion(portion) {
    const invitees = portion.map((row) => this.#invitee(row));
    try {
      const { inviteMembers: answer } = await ask(api.INVITE_MANY, { input: { communityId: this.community.id, invitees } });
      if (!("outcomes" in answer)) return markUnsent(portion, answer);
      portion.forEach((row, index) => this.#showResult(row, /** @type {Outcome} */ (answer.outcomes[index])));
      return limitOf(answer.outcomes);
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      return markUnsent(portion, { __typename: "Unanswered", message: error.message });
    }
  }

  /** @param {ListRow} row */
  #invitee(row) {
    const message = row.message || this.message.control.value.trim();
    const locale = row.locale || this.locale.control.value;
    return { email: row.email, role: this.#roleOf(row), ...(message && { message }), ...(locale && { locale }) };
  }

  /**
   * @param {ListRow} row
   * @param {Outcome} outcome
   */
  #showResult(row, { result }) {
    const link =
      result.invitation &&
      h(
        "a",
        { href: `#/communities/${this.community.id}/invitations/${result.invitation.id}` },
        t("many.open"),
        h("span", { class: "visually-hidden" }, ` ${row.email}`),
      );
    if (result.__typename === "InviteMemberSuccess") return setState(row, "invited", t("many.invited"), " ", link);
    const problem = /** @type {Problem} */ (result);
    if (["AlreadyInvited", "AlreadyMember"].includes(problem.__typename))
      return setState(
        row,
        "known",
        t(`many.known.${/** @type {"AlreadyInvited" | "AlreadyMember"} */ (problem.__typename)}`),
        " ",
        link,
      );
    return setState(row, PASSING.includes(problem.__typename) ? "unsent" : "refused", ...problemWords(problem));
  }

  /** @param {Problem} problem that also applies to the other rows */
  #stopSending(problem) {
    this.stopped = true;
    const words = problem.__typename === "Unanswered" ? [problem.message] : problemWords(problem);
    this.problems.replaceChildren(notice("problem", ...words));
  }

  /** Keeps the list for the next load of the page. The rows that were sent are not in it. */
  #keep() {
    if (this.#rowsIn("invited", "known", "refused", "unsent", "sending").length > 0) this.list.control.value = this.#rest();
    if (!this.list.control.value.trim()) return;
    keepDraft(this.context.viewer.member.id, location.hash.slice(1).split("?")[0] ?? "");
  }

  /** The list of the rows that wait or failed. */
  #rest = () => listOf(this.#rowsIn("ready", "later", "unsent", "sending", "wrong", "refused"));

  /** Keeps the unsent rows in the list, so that they survive the sign-in. */
  async #endSession() {
    this.list.control.value = listOf(this.#rowsIn("ready", "later", "unsent", "sending", "wrong"));
    this.rows = [];
    await this.context.endSession();
  }

  /** Keeps only the failed rows in the list, to be corrected. */
  #edit() {
    this.list.control.value = listOf(this.#rowsIn("refused", "wrong", "unsent"));
    this.problems.replaceChildren();
    this.#read();
    this.list.control.focus();
  }
}

/**
 * @param {Row} row
 * @param {Role} role
 */
function tableRow(row, role) {
  const outcome = h("td");
  const own = [row.locale, row.message].filter(Boolean).join(" · ");
  const element = h(
    "tr",
    null,
    h("td", { class: "quiet" }, row.line),
    h("td", null, isolated(row.email), own && h("span", { class: "own", dir: "auto" }, own)),
    h("td", null, t(`invite.role.${role}`) || row.role),
    outcome,
  );
  return { element, outcome };
}

/**
 * @param {ListRow} row
 * @param {State} state
 * @param {...(Child | undefined)} result
 */
function setState(row, state, ...result) {
  Object.assign(row, { state, result });
  renderOutcome(row);
}

/** @param {ListRow} row */
function renderOutcome({ element, outcome, state, result }) {
  element.className = state;
  outcome.replaceChildren();
  outcome.append(...result.filter(Boolean).map((child) => (child instanceof Node ? child : String(child))));
}

/**
 * @param {ListRow[]} portion
 * @param {Problem} problem
 */
function markUnsent(portion, problem) {
  portion.forEach((row) => setState(row, "unsent", t("many.unsent")));
  return problem;
}

/**
 * The rate limit that stopped a row. It applies to all further rows.
 * @param {Outcome[]} outcomes
 * @returns {Problem | null}
 */
function limitOf(outcomes) {
  const limited = outcomes.find(({ result }) => result.__typename === "RateLimited")?.result;
  return limited ? /** @type {Problem} */ (limited) : null;
}
