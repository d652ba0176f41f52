// The elements <time-left>, a countdown, and <time-ago>, a relative time. Both use the service's clock.

import { now } from "./clock.js";
import { fromNow, formatTime } from "./words.js";

/** Minutes and seconds until an instant. Dispatches `lastminute` and `elapsed`. */
class TimeLeft extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "timer");
    this.until = Date.parse(this.getAttribute("until") ?? "");
    this.warned = this.#seconds() <= 60;
    this.timer = setInterval(() => this.#tick(), 1000);
    this.#tick();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  #seconds() {
    return Math.max(0, Math.ceil(((this.until ?? 0) - now()) / 1000));
  }

  #tick() {
    const seconds = this.#seconds();
    this.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds <= 60 && !this.warned) this.dispatchEvent(new Event("lastminute"));
    this.warned ||= seconds <= 60;
    if (seconds > 0) return;
    clearInterval(this.timer);
    this.dispatchEvent(new Event("elapsed"));
  }
}

/** "3 minutes ago", with the exact time as its title. `exact` counts seconds and is for near instants. */
class TimeAgo extends HTMLElement {
  connectedCallback() {
    const at = this.getAttribute("at") ?? "";
    this.title = formatTime(at);
    this.timer = setInterval(() => this.#tick(at), this.hasAttribute("exact") ? 1_000 : 30_000);
    this.#tick(at);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  /** @param {string} at */
  #tick(at) {
    const seconds = (Date.parse(at) - now()) / 1000;
    const exact = this.hasAttribute("exact");
    this.textContent = fromNow(exact ? Math.max(1, seconds) : seconds, { exact });
    if (exact && seconds <= 0) {
      clearInterval(this.timer);
      this.dispatchEvent(new Event("elapsed"));
    }
  }
}

customElements.define("time-left", TimeLeft);
customElements.define("time-ago", TimeAgo);

/**
 * @param {string} until
 * @param {{ lastMinute: () => void, elapsed: () => void }} then
 */
export function timeLeft(until, then) {
  const element = document.createElement("time-left");
  element.setAttribute("until", until);
  element.addEventListener("lastminute", then.lastMinute);
  element.addEventListener("elapsed", then.elapsed, { once: true });
  return element;
}

/** @param {string} at */
export function timeAgo(at) {
  const element = document.createElement("time-ago");
  element.setAttribute("at", at);
  return element;
}

/**
 * @param {string} at
 * @param {() => void} elapsed
 */
export function timeUntil(at, elapsed) {
  const element = timeAgo(at);
  element.setAttribute("exact", "");
  element.addEventListener("elapsed", elapsed, { once: true });
  return element;
}
