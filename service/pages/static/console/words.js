// The console's own words, taken up before anything of it is shown.

import { takeUp } from "../words.js";
import english from "../words/console/en.js";

await takeUp(english, {
  de: () => import("../words/console/de.js"),
  fr: () => import("../words/console/fr.js"),
  es: () => import("../words/console/es.js"),
});
