// Translates a page without further scripts.

import { translate } from "./page.js";

translate(document);
const heading = document.querySelector("h1")?.textContent;
if (heading) document.title = document.title.replace(/^.* · /, `${heading} · `);
