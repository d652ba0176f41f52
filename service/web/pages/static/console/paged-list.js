// Lists whose rows can be loaded again. A row is replaced only when its data changed, so the focus, typed text and the scroll
// position stay.

import { latest } from "../api.js";
import { moreButton } from "./community-page.js";

const PAGE = 50;
const MOST = 100;

/** @typedef {{ hasNextPage: boolean, endCursor: string | null }} PageInfo */
/**
 * @template Item
 * @typedef {{ nodes: Item[], pageInfo: PageInfo }} Page
 */
/**
 * Reads the page after a cursor; null when the list cannot be read any more.
 * @template Item
 * @typedef {(page: { after: string | null, first: number }, signal: AbortSignal) => Promise<Page<Item> | null>} ReadPage
 */

/**
 * Reads the first rows of a list as one page: at least one page of the API, and as many as it takes for `count` rows.
 * @template Item
 * @param {ReadPage<Item>} read
 * @param {number} count
 * @param {AbortSignal} signal
 * @returns {Promise<Page<Item> | null>}
 */
export async function readRows(read, count, signal) {
  /** @type {Item[]} */
  const nodes = [];
  /** @type {PageInfo} */
  let pageInfo = { hasNextPage: true, endCursor: null };
  do {
    const first = Math.min(MOST, Math.max(PAGE, count - nodes.length));
    const page = await read({ after: pageInfo.endCursor, first }, signal);
    if (!page) return null;
    nodes.push(...page.nodes);
    pageInfo = page.pageInfo;
  } while (nodes.length < count && pageInfo.hasNextPage);
  return { nodes, pageInfo };
}

/**
 * The rows of a list element by the ids of their items.
 * @template {{ id: string }} Item
 */
export class Rows {
  /** @type {Map<string, { data: string, row: HTMLElement }>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} element
   * @param {(item: Item) => HTMLElement} render
   * @param {Item[]} items
   */
  constructor(element, render, items) {
    this.element = element;
    this.render = render;
    this.append(items);
  }

  get size() {
    return this.#rows.size;
  }

  /**
   * @param {Item[]} items
   * @returns {HTMLElement[]} the new rows
   */
  append(items) {
    const fresh = items.filter(({ id }) => !this.#rows.has(id));
    const rows = fresh.map((item) => this.#put(item, this.render(item)));
    this.element.append(...rows);
    return rows;
  }

  /**
   * Replaces the list. A row with the same data keeps its element. A row without an item goes, unless it has the focus.
   * @param {Item[]} items
   */
  replace(items) {
    const before = this.#rows;
    this.#rows = new Map();
    keepPlace(this.element, () => {
      for (const item of items) {
        const known = before.get(item.id);
        before.delete(item.id);
        const row = known?.data === JSON.stringify(item) ? known.row : this.render(item);
        if (known && known.row !== row) exchange(known.row, row);
        this.#put(item, row);
      }
      for (const [id, known] of before) {
        if (known.row.contains(document.activeElement)) this.#rows.set(id, known);
        else known.row.remove();
      }
      this.#arrange();
    });
  }

  /**
   * @param {Item} item
   * @param {HTMLElement} row
   */
  #put(item, row) {
    this.#rows.set(item.id, { data: JSON.stringify(item), row });
    return row;
  }

  /** Brings the elements into the order of the items. */
  #arrange() {
    let next = this.element.firstElementChild;
    for (const { row } of this.#rows.values()) {
      if (row === next) next = next.nextElementSibling;
      else this.element.insertBefore(row, next);
    }
  }
}

/** @param {HTMLElement} row */
const focusable = (row) => [row, .../** @type {NodeListOf<HTMLElement>} */ (row.querySelectorAll("a, button, input"))];

/**
 * Replaces a row by its newer state. The same part of it keeps the focus.
 * @param {HTMLElement} before
 * @param {HTMLElement} after
 */
function exchange(before, after) {
  const focused = focusable(before).findIndex((part) => part === document.activeElement);
  before.replaceWith(after);
  if (focused < 0) return;
  after.setAttribute("tabindex", "-1");
  (focusable(after)[focused] ?? after).focus({ preventScroll: true });
}

/**
 * Changes a list. The focus and the row at the top of the window stay where they are. Safari does not anchor the scroll position.
 * @param {HTMLElement} list
 * @param {() => void} change
 */
function keepPlace(list, change) {
  const focused = document.activeElement;
  const topOf = (/** @type {Element} */ row) => row.getBoundingClientRect().top;
  const anchor = scrollY > 0 && !CSS.supports("overflow-anchor", "auto") ? [...list.children].find((row) => topOf(row) >= 0) : undefined;
  const top = anchor ? topOf(anchor) : 0;
  change();
  if (anchor?.isConnected) scrollBy(0, topOf(anchor) - top);
  if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

/**
 * A list with a button for its next page.
 * @template {{ id: string }} Item
 */
export class PagedList {
  /**
   * @param {AbortSignal} signal
   * @param {ReadPage<Item>} read
   * @param {{ element: HTMLElement, render: (item: Item) => HTMLElement, page: Page<Item>, onMissing: () => unknown }} list
   */
  constructor(signal, read, { element, render, page, onMissing }) {
    this.read = read;
    this.onMissing = onMissing;
    this.rows = new Rows(element, render, page.nodes);
    this.pageInfo = page.pageInfo;
    this.reading = latest(signal);
    this.isPaging = false;
    this.more = moreButton(() => this.#showMore());
    this.more.hidden = !page.pageInfo.hasNextPage;
    this.parts = [element, this.more];
  }

  /** Loads every shown row again, unless the next page is loading. */
  async refresh() {
    if (this.isPaging) return;
    const page = await this.reading.run((signal) => readRows(this.read, this.rows.size, signal));
    if (page) this.replace(page);
    else if (page === null) await this.onMissing();
  }

  /** @param {Page<Item>} page */
  replace({ nodes, pageInfo }) {
    this.rows.replace(nodes);
    this.pageInfo = pageInfo;
    this.more.hidden = !pageInfo.hasNextPage;
  }

  /** @returns {Promise<{ first: HTMLElement | undefined, count: number, more: boolean }>} */
  async #showMore() {
    this.isPaging = true;
    const reading = this.reading.run((signal) => this.read({ after: this.pageInfo.endCursor, first: PAGE }, signal));
    const page = await reading.finally(() => (this.isPaging = false));
    if (page === null) await this.onMissing();
    if (!page) return { first: undefined, count: 0, more: this.pageInfo.hasNextPage };
    this.pageInfo = page.pageInfo;
    const rows = this.rows.append(page.nodes);
    rows[0]?.setAttribute("tabindex", "-1");
    return { first: rows[0], count: rows.length, more: page.pageInfo.hasNextPage };
  }
}
