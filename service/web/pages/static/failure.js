// Shows a message after an unexpected error in our scripts. It works without the other modules.
//
// In-app browsers, scanners and password managers run scripts in our pages. Their errors do not stop the page.

const OURS = new URL("/static/", location.href).href;
// The frames of a stack: lines with "at" in Chromium, and with "@" in WebKit and Gecko. Native functions have no address.
const FRAMES = [/^ +at .*$/gm, /^.*@.*$/gm];
const NATIVE = /\(<anonymous>\)$|\[native code\]/;

let shown = false;

/** Whether the message is shown. It stays: work that was under way shows nothing more. */
export const hasFailed = () => shown;

/** Replaces the view with the page's failure template. Dispatches `beforefailure` first: the page can keep its input. */
function showFailure() {
  const words = document.getElementById("failure");
  const view = document.getElementById("view");
  const isTold = shown || document.documentElement.classList.contains("old-engine");
  if (isTold || !(words instanceof HTMLTemplateElement) || !view) return;
  shown = true;
  dispatchEvent(new Event("beforefailure"));
  for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  view.replaceChildren(words.content.cloneNode(true));
  view.removeAttribute("aria-busy");
  view.querySelector("button")?.addEventListener("click", () => location.reload());
  view.querySelector("h1")?.focus();
}

/**
 * Shows the message when some work of our scripts fails. A foreign script that replaced a function of the browser may have
 * caused it.
 * @template Result
 * @param {Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function stopOnFailure(work) {
  try {
    return await work;
  } catch (error) {
    showFailure();
    throw error;
  }
}

/**
 * Whether one of our scripts threw the error: the newest frame of its stack is in our file. Older frames may be ours too when
 * a foreign script wraps a function that we call.
 * @param {unknown} error
 */
function isOurs(error) {
  const stack = (error instanceof Error && error.stack) || "";
  const frames = FRAMES.map((pattern) => stack.match(pattern)).find((found) => found) ?? [];
  return frames.find((frame) => !NATIVE.test(frame))?.includes(OURS) ?? false;
}

addEventListener("error", (event) => event.filename?.startsWith(OURS) && showFailure());
addEventListener("unhandledrejection", ({ reason }) => isOurs(reason) && showFailure());
// The error of a script that cannot be loaded or parsed does not bubble.
addEventListener("error", ({ target }) => target instanceof HTMLScriptElement && target.src.startsWith(OURS) && showFailure(), true);
