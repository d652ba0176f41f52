// Runs before every other script, in syntax that every browser reads. It tells people whose browser cannot run the page to
// open the link in another one, and marks the document, so that the other scripts leave the page and its address alone.

(function () {
  // Array.prototype.at arrived with, or after, the syntax of the modules: top-level await and private methods.
  var runs =
    "noModule" in document.createElement("script") &&
    "replaceChildren" in Element.prototype &&
    "showModal" in (window.HTMLDialogElement || Object).prototype &&
    "at" in Array.prototype;
  if (runs) return;
  document.documentElement.className += " old-engine";
  document.addEventListener("DOMContentLoaded", function () {
    var view = document.getElementById("view");
    var words = /** @type {HTMLTemplateElement | null} */ (document.getElementById("old-engine"));
    if (!view || !words) return;
    view.textContent = "";
    view.removeAttribute("aria-busy");
    view.appendChild(words.content);
  });
})();
