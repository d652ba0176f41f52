// For pages that only say something: the same words in the reader's language.

import { translate } from "./page.js";

translate(document);
const heading = document.querySelector("h1")?.textContent;
if (heading) document.title = document.title.replace(/^.* · /, `${heading} · `);
