"""Browsers that differ from a current one: foreign scripts, missing features, no storage, no cookies, a wrong clock.

Each is a script that runs in every page before the page's own scripts. Most views must work in all of WORKING.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Environment:
    """A script that changes the browser, and the errors that it causes itself."""

    name: str
    script: str
    errors: re.Pattern[str] | None = None

    def __str__(self) -> str:
        return self.name

    def causes(self, error: str) -> bool:
        """Whether the environment's own script causes an error or a policy violation with this text."""
        return self.errors is not None and self.errors.search(error) is not None


# In-app browsers, scanners and password managers do all of this. Each error repeats while the page is used.
FOREIGN_SCRIPTS: Final = Environment(
    "foreign-scripts",
    """addEventListener("DOMContentLoaded", () => {
        const box = document.body.appendChild(document.createElement("div"));
        box.style.position = "fixed";
        new ResizeObserver(() => (box.style.height = `${box.offsetHeight + 1}px`)).observe(box);
        const faults = [
            () => { throw new Error("foreign error"); },
            () => void Promise.reject("foreign text"),
            () => void Promise.reject(new Error("foreign rejection")),
            () => void Promise.reject(undefined),
            () => { box.innerHTML = "<b>foreign markup</b>"; },
            () => dispatchEvent(new Event("error")),
        ];
        const run = () => faults.forEach((fault) => setTimeout(fault));
        run();
        setInterval(run, 300);
        addEventListener("focusin", () => { throw new Error("foreign listener"); });
        const { fetch } = window;
        window.fetch = (...request) => {
            Promise.reject(new Error("foreign tracker"));
            return fetch(...request);
        };
    });""",
    re.compile("foreign|ResizeObserver|TrustedHTML|undefined"),
)

NO_STORAGE: Final = Environment(
    "no-storage",
    """for (const name of ["sessionStorage", "localStorage"])
        Object.defineProperty(window, name, { get: () => null });""",
)
REFUSED_STORAGE: Final = Environment(
    "refused-storage",
    """for (const name of ["sessionStorage", "localStorage"])
        Object.defineProperty(window, name, { get() { throw new DOMException("Access is denied.", "SecurityError"); } });""",
)
FULL_STORAGE: Final = Environment(
    "full-storage",
    "Storage.prototype.setItem = () => { throw new DOMException('The quota is exceeded.', 'QuotaExceededError'); };",
)

# The interfaces that the oldest engines of the README do not have: those later than Chrome 105, Safari 15.4 or Firefox 121.
OLDEST_ENGINE: Final = Environment(
    "oldest-engine",
    """for (const [owner, ...names] of [
        [AbortSignal, "any", "timeout"],
        [Array, "fromAsync"],
        [Array.prototype, "toReversed", "toSorted", "toSpliced", "with"],
        [Object, "groupBy"],
        [Map, "groupBy"],
        [Promise, "try", "withResolvers"],
        [Set.prototype, "difference", "intersection", "isSubsetOf", "symmetricDifference", "union"],
        [String.prototype, "isWellFormed", "toWellFormed"],
        [URL, "canParse", "parse"],
        [Response, "json"],
        [window, "Iterator", "navigation", "scheduler", "CloseWatcher", "EditContext"],
        [Intl, "DurationFormat", "Segmenter"],
        [Element.prototype, "checkVisibility", "setHTMLUnsafe", "moveBefore"],
        [HTMLElement.prototype, "showPopover", "hidePopover", "togglePopover", "popover"],
        [Document, "parseHTMLUnsafe"],
        [Document.prototype, "startViewTransition"],
        [HTMLDialogElement.prototype, "requestClose", "closedBy"],
        [ReadableStream.prototype, "values"],
        [ReadableStream.prototype, Symbol.asyncIterator],
        [navigator.__proto__, "userActivation", "locks"],
    ]) for (const name of names) delete owner[name];""",
)

POSIX_LANGUAGES: Final = Environment(
    "posix-languages",
    """Object.defineProperty(navigator, "languages", { get: () => ["C", "en-US@posix", "en_US", "de_DE.UTF-8"] });""",
)
NO_LANGUAGES: Final = Environment(
    "no-languages",
    """Object.defineProperty(navigator, "languages", { get: () => undefined });
    Object.defineProperty(navigator, "language", { get: () => "en_GB" });""",
)

# The device's clock is three hours late, until `correctClock()`.
WRONG_CLOCK: Final = Environment(
    "wrong-clock",
    """{
        const { now } = Date;
        let late = 3 * 3_600_000;
        Date.now = () => now() - late;
        window.correctClock = () => { late = 0; };
    }""",
)

WORKING: Final = (
    FOREIGN_SCRIPTS,
    NO_STORAGE,
    REFUSED_STORAGE,
    FULL_STORAGE,
    OLDEST_ENGINE,
    POSIX_LANGUAGES,
    NO_LANGUAGES,
    WRONG_CLOCK,
)

COOKIES_OFF: Final = Environment(
    "cookies-off",
    """Object.defineProperty(navigator, "cookieEnabled", { get: () => false });
    Object.defineProperty(Document.prototype, "cookie", { get: () => "", set() {} });""",
)
COOKIES_REFUSED: Final = Environment(
    "cookies-refused",
    """Object.defineProperty(Document.prototype, "cookie", {
        get() { throw new DOMException("Access is denied.", "SecurityError"); },
        set() { throw new DOMException("Access is denied.", "SecurityError"); },
    });""",
)
# The browser reports cookies as enabled, and drops them.
COOKIES_DROPPED: Final = Environment(
    "cookies-dropped", """Object.defineProperty(Document.prototype, "cookie", { get: () => "", set() {} });"""
)
WITHOUT_COOKIES: Final = (COOKIES_OFF, COOKIES_REFUSED, COOKIES_DROPPED)

TOO_OLD: Final = (
    Environment("no-dialog", "delete window.HTMLDialogElement;"),
    Environment("no-replace-children", "delete Element.prototype.replaceChildren;"),
    Environment("no-array-at", "delete Array.prototype.at;"),
    Environment("no-modules", "delete HTMLScriptElement.prototype.noModule;"),
)
