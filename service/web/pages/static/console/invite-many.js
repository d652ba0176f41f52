// Invites many people: reads a list, checks each row, sends the rows in portions, and shows each result.

import { RequestFailed, ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, isolated } from "../page.js";
import { formatTime, t } from "../words.js";
import { localeField, messageField, policyWords, roleField } from "./invite-form.js";
import { checkRows, listOf, rowsIn, textOf } from "./invitee-list.js";
import { showMissing, isAdmin, showNotFound, showCommunityPage } from "./community-page.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Outcome} Outcome */
/** @typedef {import("../operations.js").Role} Role */
/** @typedef {import("../operations.js").Quota} Quota */
/** @typedef {import("../api.js").Problem} Problem */
/** @typedef {import("./invitee-list.js").Row} Row */
/** @typedef {import("../page.js").Child} Child */

/** "unsent" rows can be sent again; "known" rows are members or were invited before. */
/** @typedef {"wrong" | "ready" | "sending" | "invited" | "known" | "refused" | "unsent"} State */
/** @typedef {Row & { state: State, result: Child[], element: HTMLTableRowElement, outcome: HTMLElement }} ListRow */

/** @type {State[]} The order of the results: failures first. */
const FIRST_TO_LAST = ["refused", "wrong", "unsent", "ready", "sending", "known", "invited"];
const PORTION = 50;
const MOST_BYTES = 5_000_000;
const TYPED_MS = 200;
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

  /**
   * @param {ViewContext} context
   * @param {Community} community
   * @param {Quota | null} quota
   */
  constructor(context, community, quota) {
    this.context = context;
    this.community = community;
    this.quota = quota;
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
      this.progress,
      h("div", { class: "actions" }, this.send, this.stop, this.edit),
      this.problems,
      this.table,
    );
    const parts = [this.context.takeFlash(), back, h("h2", null, t("many.title")), this.input, outcome];
    showCommunityPage(this.community, "invitations", parts, t("many.title"));
    this.#read();
    addEventListener("beforeunload", (event) => this.#sending() && event.preventDefault(), { signal: this.context.signal });
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
      timer = setTimeout(() => this.#read(), TYPED_MS);
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
    if (text === null || text.includes("\0")) return this.file.setError(t("many.file.unreadable", { name: file.name }));
    this.list.control.value = text.trim();
    this.#read();
    announce(this.summary.textContent ?? "");
  }

  /** Reads and checks the list, and shows each row with its problem. */
  #read() {
    if (this.#sending()) return;
    const rows = rowsIn(this.list.control.value);
    checkRows(rows, this.community);
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

  /** @param {Row} row */
  #roleOf = ({ role }) => /** @type {Role} */ (role || this.role.control.value);

  #sending = () => this.rows.some(({ state }) => state === "sending");

  /** @param {State[]} states */
  #rowsIn = (...states) => this.rows.filter(({ state }) => states.includes(state));

  /** Shows the summary of the list and the possible actions. */
  #summarize() {
    const waiting = this.#rowsIn("ready", "unsent").length;
    const done = this.#rowsIn("invited", "known", "refused", "unsent").length > 0;
    this.table.hidden = this.rows.length === 0;
    this.#showLimit(waiting);
    this.summary.textContent = this.rows.length === 0 ? t("many.nothing") : done ? this.#outcome() : this.#forecast();
    const sending = this.#sending();
    this.send.hidden = sending || (done && waiting === 0);
    this.send.textContent = t(done ? "many.again" : "many.send", { count: waiting });
    this.send.toggleAttribute("disabled", waiting === 0);
    this.stop.hidden = !sending;
    this.edit.hidden = sending || !done || this.#rowsIn("refused", "wrong").length === 0;
    this.progress.hidden = !sending;
    this.input.toggleAttribute("inert", sending);
  }

  /**
   * Shows how many invitations the limits allow now, and how many of the waiting rows have to wait longer.
   * @param {number} waiting
   */
  #showLimit(waiting) {
    const { byYou = null, byCommunity = null, resetsAt = null } = this.quota ?? {};
    const counts = [byYou, byCommunity].flatMap((count) => (count === null ? [] : [count]));
    const allowed = Math.min(...counts);
    const over = waiting - allowed;
    this.limit.hidden = counts.length === 0 || this.rows.length === 0;
    this.limit.classList.toggle("exceeded", over > 0);
    this.limit.textContent = [
      t("many.limit", { count: allowed }),
      over > 0 && t("many.limit.over", { count: over }),
      over > 0 && resetsAt && t("many.limit.resets", { when: formatTime(resetsAt) }),
    ]
      .filter(Boolean)
      .join(" ");
  }

  async #refreshQuota() {
    try {
      const { community } = await ask(api.INVITING, { id: this.community.id }, { signal: this.context.signal });
      this.quota = community?.quota ?? null;
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
    }
  }

  /** Shows the rows that need attention first, and otherwise keeps their order. */
  #sortResults() {
    this.body.append(...FIRST_TO_LAST.flatMap((state) => this.#rowsIn(state)).map(({ element }) => element));
  }

  #forecast() {
    const [ready, wrong] = [this.#rowsIn("ready").length, this.#rowsIn("wrong").length];
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

  /** Sends the waiting rows in portions, until all are sent, the reader stops, or a portion fails. */
  async #send() {
    const waiting = this.#rowsIn("ready", "unsent");
    this.stopped = false;
    this.progress.max = waiting.length;
    for (let sent = 0; sent < waiting.length && !this.stopped && !this.context.signal.aborted; sent += PORTION) {
      const portion = waiting.slice(sent, sent + PORTION);
      portion.forEach((row) => setState(row, "sending", t("many.sending")));
      this.progress.value = sent;
      this.#summarize();
      this.summary.textContent = t("many.progress", { sent, count: waiting.length });
      const problem = await this.#sendPortion(portion);
      if (problem?.__typename === "NotSignedIn") return this.#endSession();
      if (problem) this.#stopSending(problem);
    }
    waiting.filter(({ state }) => state === "ready").forEach((row) => setState(row, "unsent", t("many.unsent")));
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

  /** Keeps the unsent rows in the list, so that they survive the sign-in. */
  async #endSession() {
    this.list.control.value = listOf(this.#rowsIn("ready", "unsent", "sending", "wrong"));
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
