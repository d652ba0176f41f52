// The filter of the invitations: its form, its place in the address, and its form as input of the API.

import { h } from "../page.js";
import { t } from "../words.js";
import { TROUBLE } from "./invitation-rows.js";
import { ROLES } from "./community-page.js";

/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").Delivery} Delivery */
/** @typedef {import("../operations.js").InvitationFilter} InvitationFilter */
/** @typedef {import("../operations.js").InvitationStatus} InvitationStatus */
/** @typedef {import("../operations.js").InvitationCounts} InvitationCounts */
/** @typedef {import("../words.js").WordId} WordId */

/** @type {InvitationStatus[]} */
const STATUSES = ["PENDING", "ACCEPTED", "DECLINED", "EXPIRED", "REVOKED"];
/** @type {Delivery[]} */
const DELIVERIES = ["QUEUED", "SENT", "DELAYED", "DELIVERED", ...TROUBLE, "CANCELLED"];
const TYPED_MS = 300;

/**
 * The filter in a query. Unknown values are ignored.
 * @param {URLSearchParams} query
 * @returns {InvitationFilter}
 */
export function filterFrom(query) {
  /**
   * @template {string} Value
   * @param {string} name
   * @param {Value[]} known
   */
  const valuesOf = (name, known) => known.filter((value) => (query.get(name) ?? "").split(",").includes(value));
  const statuses = valuesOf("status", STATUSES);
  const deliveries = query.get("delivery") === "TROUBLE" ? TROUBLE : valuesOf("delivery", DELIVERIES);
  const roles = valuesOf("role", ROLES);
  const emailContains = (query.get("q") ?? "").trim().slice(0, 254);
  return {
    ...(statuses.length > 0 && { statuses }),
    ...(deliveries.length > 0 && { deliveries }),
    ...(roles.length > 0 && { roles }),
    ...(emailContains && { emailContains }),
  };
}

/** @param {InvitationFilter} filter */
export const isEmptyFilter = (filter) => Object.keys(filter).length === 0;

/**
 * Whether the filter selects an invitation. The API has the same rules.
 * @param {Invitation} invitation
 * @param {InvitationFilter} filter
 */
export function matches({ status, delivery, role, email, displayEmail }, { statuses, deliveries, roles, emailContains }) {
  return (
    (statuses?.includes(status) ?? true) &&
    (deliveries?.includes(delivery) ?? true) &&
    (roles?.includes(role) ?? true) &&
    [email, displayEmail].some((form) => form.toLowerCase().includes((emailContains ?? "").normalize().toLowerCase()))
  );
}

export class FilterForm {
  /**
   * @param {URLSearchParams} query
   * @param {(asked: URLSearchParams, how: { step: boolean }) => void} changed
   */
  constructor(query, changed) {
    this.changed = changed;
    this.chips = STATUSES.map((status) => chip(status, (query.get("status") ?? "").split(",").includes(status)));
    this.delivery = select(deliveryOptions(), query.get("delivery"));
    this.role = select([["", t("filter.any_role")], ...ROLES.map(roleOption)], query.get("role"));
    this.text = h("input", {
      type: "search",
      value: query.get("q") ?? "",
      placeholder: t("filter.text"),
      "aria-label": t("filter.text"),
      autocomplete: "off",
      spellcheck: "false",
      maxlength: "254",
    });
    this.element = this.#form();
  }

  #form() {
    const form = h(
      "form",
      { class: "filter", role: "search", "aria-label": t("filter.title") },
      h(
        "fieldset",
        { class: "chips" },
        h("legend", { class: "visually-hidden" }, t("filter.status")),
        ...this.chips.map(({ element }) => element),
      ),
      h(
        "div",
        { class: "filter-line" },
        this.text,
        labelled(t("filter.delivery"), this.delivery),
        labelled(t("filter.role"), this.role),
      ),
    );
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.changed(this.query(), { step: true }));
    this.text.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.changed(this.query(), { step: false }), TYPED_MS);
    });
    return form;
  }

  query() {
    const statuses = this.chips.filter(({ box }) => box.checked).map(({ box }) => box.value);
    const values = { status: statuses.join(","), delivery: this.delivery.value, role: this.role.value, q: this.text.value.trim() };
    return new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  }

  clear() {
    for (const { box } of this.chips) box.checked = false;
    for (const control of [this.delivery, this.role, this.text]) control.value = "";
    this.text.focus();
    this.changed(this.query(), { step: true });
  }

  /** @param {InvitationCounts | null} counts */
  count(counts) {
    for (const { box, number } of this.chips) {
      const key = /** @type {keyof InvitationCounts} */ (box.value.toLowerCase());
      number.textContent = String(counts?.[key] ?? "");
    }
  }
}

/**
 * @param {string} status
 * @param {boolean} checked
 */
function chip(status, checked) {
  const box = h("input", { type: "checkbox", value: status, checked });
  const number = h("span", { class: "number" });
  const element = h("label", { class: "chip" }, box, t(/** @type {WordId} */ (`status.${status}`)), " ", number);
  return { box, number, element };
}

/**
 * @param {string} label
 * @param {HTMLElement} control
 */
const labelled = (label, control) => h("label", null, h("span", { class: "visually-hidden" }, label), control);

/** @param {import("../operations.js").Role} role @returns {[string, string]} */
const roleOption = (role) => [role, t(`invite.role.${role}`)];

/** @returns {[string, string][]} */
const deliveryOptions = () => [
  ["", t("filter.any_delivery")],
  ["TROUBLE", t("filter.trouble")],
  ...DELIVERIES.map(
    (delivery) => /** @type {[string, string]} */ ([delivery, t(/** @type {WordId} */ (`delivery.${delivery}`))]),
  ),
];

/**
 * @param {[string, string][]} options
 * @param {string | null} chosen
 */
export const select = (options, chosen) =>
  h(
    "select",
    null,
    options.map(([value, label]) => h("option", { value, selected: value === chosen }, label)),
  );
