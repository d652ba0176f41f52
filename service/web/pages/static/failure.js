// The last net: whatever breaks in our scripts ends in words. It needs none of the other modules.

let shown = false;

/** Shows the words that wait in the page for this, in place of a view that can no longer be trusted. */
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
