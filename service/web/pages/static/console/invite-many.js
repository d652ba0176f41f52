// Inviting many: a list is pasted, typed or dropped, each row is checked, sent in portions, and told what became of it.

import { Unanswered, ask } from "../api.js";
import * as api from "../operations.js";
import { announce, button, field, h, notice, problemWords, said } from "../page.js";
import { t } from "../words.js";
import { loadCsvReader } from "./csv.js";
import { localeField, messageField, policyWords, roleField } from "./invite-form.js";
import { check, rowsIn, textOf } from "./invitee-list.js";
import { gone, isAdmin, nothingThere, showPlace } from "./place.js";

/** @typedef {import("../console.js").ViewContext} ViewContext */
/** @typedef {import("../operations.js").Community} Community */
/** @typedef {import("../operations.js").Outcome} Outcome */
/** @typedef {import("../operations.js").Role} Role */
/** @typedef {import("../api.js").Problem} Problem */
/** @typedef {import("./invitee-list.js").Row} Row */
/** @typedef {import("../page.js").Child} Child */

/** "unsent" can be sent (again); "known" was a member or invited before. */
/** @typedef {"wrong" | "ready" | "sending" | "invited" | "known" | "refused" | "unsent"} State */
/** @typedef {Row & { state: State, told: Child[], element: HTMLTableRowElement, outcome: HTMLElement }} Shown */

const PORTION = 50;
const MOST_BYTES = 5_000_000;
const TYPED_MS = 200;
/** Refusals that may be none a while later. */
const PASSING = ["RateLimited", "SeatLimitReached"];

/** @type {import("../console.js").View} */
export async function inviteMany(context, id = "") {
  const [answer] = await Promise.all([ask(api.PLACE_ALONE, { id }, { signal: context.signal }), loadCsvReader()]);
  const place = answer.community;
  if (!place) return gone(context, answer);
  if (!isAdmin(place.viewerRole)) return nothingThere(t("audit.not_yours.title"), t("audit.not_yours"));
  new ManyInvitees(context, place).show();
}

class ManyInvitees {
  /** @type {Shown[]} */
  rows = [];
  stopped = false;

  /**
   * @param {ViewContext} context
   * @param {Community} place
   */
  constructor(context, place) {
    this.context = context;
    this.place = place;
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
    this.role = roleField(place.viewerRole);
    this.message = messageField();
    this.locale = localeField();
    this.summary = h("p", { id: "many-summary" });
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
    const back = h("p", { class: "crumb" }, h("a", { href: `#/communities/${this.place.id}` }, "← ", t("invitation.back")));
    const outcome = h(
      "div",
      { class: "panel outcome" },
      this.summary,
      this.progress,
      h("div", { class: "actions" }, this.send, this.stop, this.edit),
      this.problems,
      this.table,
    );
    const parts = [this.context.flash(), back, h("h2", null, t("many.title")), this.input, outcome];
    showPlace(this.place, "invitations", parts, t("many.title"));
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
      h("p", { class: "hint" }, policyWords(this.place)),
    );
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    this.list.control.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#read(), TYPED_MS);
    });
    this.role.control.addEventListener("change", () => this.#read());
    this.file.control.addEventListener("change", () => void this.#take(this.file.control.files?.[0]));
    input.addEventListener("dragover", (event) => event.preventDefault());
    input.addEventListener("drop", (event) => {
      const file = event.dataTransfer?.files[0];
      if (file) event.preventDefault();
      void this.#take(file);
    });
    return input;
  }

  /**
   * A file's text goes where it can be read and mended.
   * @param {File | undefined} file
   */
  async #take(file) {
    if (!file || this.#sending()) return;
    this.file.wrong(null);
    const text = file.size > MOST_BYTES ? null : await textOf(file);
    if (text === null || text.includes("\0")) return this.file.wrong(t("many.file.unreadable", { name: file.name }));
    this.list.control.value = text.trim();
    this.#read();
    announce(this.summary.textContent ?? "");
  }

  /** Reads and checks what stands in the list, and shows each row with what is wrong with it. */
  #read() {
    if (this.#sending()) return;
    const rows = rowsIn(this.list.control.value);
    check(rows, this.place);
    this.rows = rows.map((row) => ({
      ...row,
      ...line(row, this.#roleOf(row)),
      state: row.problem ? "wrong" : "ready",
      told: [row.problem || t("many.ready")],
    }));
    this.body.replaceChildren(...this.rows.map(({ element }) => element));
    this.rows.forEach(tell);
    this.#sum();
  }

  /** @param {Row} row */
  #roleOf = ({ role }) => /** @type {Role} */ (role || this.role.control.value);

  #sending = () => this.rows.some(({ state }) => state === "sending");

  /** @param {State[]} states */
  #in = (...states) => this.rows.filter(({ state }) => states.includes(state));

  /** What the list comes to, in one sentence, and what can be done next. */
  #sum() {
    const waiting = this.#in("ready", "unsent").length;
    const done = this.#in("invited", "known", "refused", "unsent").length > 0;
    this.table.hidden = this.rows.length === 0;
    this.summary.textContent = this.rows.length === 0 ? t("many.nothing") : done ? this.#outcome() : this.#forecast();
    const sending = this.#sending();
    this.send.hidden = sending || (done && waiting === 0);
    this.send.textContent = t(done ? "many.again" : "many.send", { count: waiting });
    this.send.toggleAttribute("disabled", waiting === 0);
    this.stop.hidden = !sending;
    this.edit.hidden = sending || !done || this.#in("refused", "wrong").length === 0;
    this.progress.hidden = !sending;
    this.input.toggleAttribute("inert", sending);
  }

  #forecast() {
    const [ready, wrong] = [this.#in("ready").length, this.#in("wrong").length];
    return [t("many.can", { count: ready }), wrong > 0 && t("many.cannot", { count: wrong })].filter(Boolean).join(" ");
  }

  #outcome() {
    const parts = /** @type {const} */ (["invited", "known", "refused", "unsent"]).map((state) => ({
      state,
      count: this.#in(state).length,
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

  /** Sends what waits, portion by portion, until it is done, stopped or refused as a whole. */
  async #send() {
    const waiting = this.#in("ready", "unsent");
    this.stopped = false;
    this.progress.max = waiting.length;
    for (let sent = 0; sent < waiting.length && !this.stopped && !this.context.signal.aborted; sent += PORTION) {
      const portion = waiting.slice(sent, sent + PORTION);
      portion.forEach((row) => set(row, "sending", t("many.sending")));
      this.progress.value = sent;
      this.#sum();
      this.summary.textContent = t("many.progress", { sent, count: waiting.length });
      const problem = await this.#sendPortion(portion);
      if (problem?.__typename === "NotSignedIn") return this.#signedOut();
      if (problem) this.#giveUp(problem);
    }
    waiting.filter(({ state }) => state === "ready").forEach((row) => set(row, "unsent", t("many.unsent")));
    this.#sum();
    announce(this.summary.textContent ?? "");
    if (this.send.hidden) (this.edit.hidden ? this.list.control : this.edit).focus();
  }

  /**
   * @param {Shown[]} portion
   * @returns {Promise<Problem | null>} what refused the whole
   */
  async #sendPortion(portion) {
    const invitees = portion.map((row) => this.#invitee(row));
    try {
      const { inviteMembers: answer } = await ask(api.INVITE_MANY, { input: { communityId: this.place.id, invitees } });
      if (!("outcomes" in answer)) return unsent(portion, answer);
      portion.forEach((row, index) => this.#came(row, /** @type {Outcome} */ (answer.outcomes[index])));
      return limitOf(answer.outcomes);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      return unsent(portion, { __typename: "Unanswered", message: error.message });
    }
  }

  /** @param {Shown} row */
  #invitee(row) {
    const message = row.message || this.message.control.value.trim();
    const locale = row.locale || this.locale.control.value;
    return { email: row.email, role: this.#roleOf(row), ...(message && { message }), ...(locale && { locale }) };
  }

  /**
   * @param {Shown} row
   * @param {Outcome} outcome
   */
  #came(row, { result }) {
    const there =
      result.invitation &&
      h(
        "a",
        { href: `#/communities/${this.place.id}/invitations/${result.invitation.id}` },
        t("many.open"),
        h("span", { class: "visually-hidden" }, ` ${row.email}`),
      );
    if (result.__typename === "InviteMemberSuccess") return set(row, "invited", t("many.invited"), " ", there);
    const problem = /** @type {Problem} */ (result);
    if (["AlreadyInvited", "AlreadyMember"].includes(problem.__typename))
      return set(
        row,
        "known",
        t(`many.known.${/** @type {"AlreadyInvited" | "AlreadyMember"} */ (problem.__typename)}`),
        " ",
        there,
      );
    return set(row, PASSING.includes(problem.__typename) ? "unsent" : "refused", ...problemWords(problem));
  }

  /** @param {Problem} problem that meets the rest too */
  #giveUp(problem) {
    this.stopped = true;
    const words = problem.__typename === "Unanswered" ? [problem.message] : problemWords(problem);
    this.problems.replaceChildren(notice("problem", ...words));
  }

  /** What was not sent yet is what is kept over the sign-in. */
  async #signedOut() {
    const rest = new Set(this.#in("ready", "unsent", "sending", "wrong").map(({ line }) => line));
    const lines = this.list.control.value.split("\n");
    const head = this.rows[0]?.line === 1 ? [] : lines.slice(0, (this.rows[0]?.line ?? 1) - 1);
    this.list.control.value = [...head, ...lines.filter((_, index) => rest.has(index + 1))].join("\n");
    this.rows = [];
    await this.context.signedOut();
  }

  /** Leaves in the list what was refused or cannot be sent, to be mended. */
  #edit() {
    const rows = this.#in("refused", "wrong", "unsent");
    this.list.control.value = rows
      .map((row) => [row.email, row.role, row.message, row.locale].map(cell).join(",").replace(/,+$/, ""))
      .join("\n");
    this.problems.replaceChildren();
    this.#read();
    this.list.control.focus();
  }
}

/** @param {string} text */
const cell = (text) => (/[",;\t\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/**
 * @param {Row} row
 * @param {Role} role
 */
function line(row, role) {
  const outcome = h("td");
  const element = h(
    "tr",
    null,
    h("td", { class: "quiet" }, row.line),
    h("td", null, said(row.email)),
    h("td", null, t(`invite.role.${role}`) || row.role),
    outcome,
  );
  return { element, outcome };
}

/**
 * @param {Shown} row
 * @param {State} state
 * @param {...(Child | undefined)} told
 */
function set(row, state, ...told) {
  Object.assign(row, { state, told });
  tell(row);
}

/** @param {Shown} row */
function tell({ element, outcome, state, told }) {
  element.className = state;
  outcome.replaceChildren();
  outcome.append(...told.filter(Boolean).map((child) => (child instanceof Node ? child : String(child))));
}

/**
 * @param {Shown[]} portion
 * @param {Problem} problem
 */
function unsent(portion, problem) {
  portion.forEach((row) => set(row, "unsent", t("many.unsent")));
  return problem;
}

/**
 * A limit that met one row meets all that follow.
 * @param {Outcome[]} outcomes
 * @returns {Problem | null}
 */
function limitOf(outcomes) {
  const limited = outcomes.find(({ result }) => result.__typename === "RateLimited")?.result;
  return limited ? /** @type {Problem} */ (limited) : null;
}
