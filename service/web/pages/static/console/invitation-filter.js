// What of the invitations is shown: chosen here, kept in the address, asked of the API, and asked of each change.

import { h } from "../page.js";
import { t } from "../words.js";
import { TROUBLE } from "./invitation-rows.js";
import { ROLES } from "./place.js";

/** @typedef {import("../operations.js").Invitation} Invitation */
/** @typedef {import("../operations.js").Delivery} Delivery */
/** @typedef {import("../operations.js").InvitationFilter} Wanted */
/** @typedef {import("../operations.js").InvitationStatus} InvitationStatus */
/** @typedef {import("../operations.js").InvitationCounts} InvitationCounts */
/** @typedef {import("../words.js").WordId} WordId */

/** @type {InvitationStatus[]} */
const STATUSES = ["PENDING", "ACCEPTED", "DECLINED", "EXPIRED", "REVOKED"];
/** @type {Delivery[]} */
const DELIVERIES = ["QUEUED", "SENT", "DELAYED", "DELIVERED", ...TROUBLE];
const TYPED_MS = 300;

/**
 * What an address asks for; what is none of ours is left out.
 * @param {URLSearchParams} asked
 * @returns {Wanted}
 */
export function wantedIn(asked) {
  /**
   * @template {string} Value
   * @param {string} name
   * @param {Value[]} known
   */
  const among = (name, known) => known.filter((value) => (asked.get(name) ?? "").split(",").includes(value));
  const statuses = among("status", STATUSES);
  const deliveries = asked.get("delivery") === "TROUBLE" ? TROUBLE : among("delivery", DELIVERIES);
  const roles = among("role", ROLES);
  const emailContains = (asked.get("q") ?? "").trim().slice(0, 254);
  return {
    ...(statuses.length > 0 && { statuses }),
    ...(deliveries.length > 0 && { deliveries }),
    ...(roles.length > 0 && { roles }),
    ...(emailContains && { emailContains }),
  };
}

/** @param {Wanted} wanted */
export const asksNothing = (wanted) => Object.keys(wanted).length === 0;

/**
 * Whether the API would answer with this invitation too.
 * @param {Invitation} invitation
 * @param {Wanted} wanted
 */
export function matches({ status, delivery, role, email }, { statuses, deliveries, roles, emailContains }) {
  return (
    (statuses?.includes(status) ?? true) &&
    (deliveries?.includes(delivery) ?? true) &&
    (roles?.includes(role) ?? true) &&
    email.toLowerCase().includes((emailContains ?? "").toLowerCase())
  );
}

export class FilterForm {
  /**
   * @param {URLSearchParams} asked
   * @param {(asked: URLSearchParams, how: { step: boolean }) => void} changed
   */
  constructor(asked, changed) {
    this.changed = changed;
    this.chips = STATUSES.map((status) => chip(status, (asked.get("status") ?? "").split(",").includes(status)));
    this.delivery = select(deliveryOptions(), asked.get("delivery"));
    this.role = select([["", t("filter.any_role")], ...ROLES.map(roleOption)], asked.get("role"));
    this.text = h("input", {
      type: "search",
      value: asked.get("q") ?? "",
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
    form.addEventListener("change", () => this.changed(this.asked(), { step: true }));
    this.text.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.changed(this.asked(), { step: false }), TYPED_MS);
    });
    return form;
  }

  asked() {
    const statuses = this.chips.filter(({ box }) => box.checked).map(({ box }) => box.value);
    const given = { status: statuses.join(","), delivery: this.delivery.value, role: this.role.value, q: this.text.value.trim() };
    return new URLSearchParams(Object.entries(given).filter(([, value]) => value));
  }

  clear() {
    for (const { box } of this.chips) box.checked = false;
    for (const control of [this.delivery, this.role, this.text]) control.value = "";
    this.text.focus();
    this.changed(this.asked(), { step: true });
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
