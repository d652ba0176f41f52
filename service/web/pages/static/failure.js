// Shows a message after an unexpected error in a script. It works without the other modules.

let shown = false;

/** Replaces the view with the page's failure template. */
function showFailure() {
  const words = document.getElementById("failure");
  const view = document.getElementById("view");
  if (shown || !(words instanceof HTMLTemplateElement) || !view) return;
  shown = true;
  view.replaceChildren(words.content.cloneNode(true));
  view.removeAttribute("aria-busy");
  view.querySelector("button")?.addEventListener("click", () => location.reload());
  view.querySelector("h1")?.focus();
}

addEventListener("error", showFailure);
addEventListener("unhandledrejection", showFailure);
