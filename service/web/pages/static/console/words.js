// The console's own words, taken up before anything of it is shown.

import { takeUp } from "../words.js";

await takeUp({
  en: () => import("../words/console/en.js"),
  de: () => import("../words/console/de.js"),
  fr: () => import("../words/console/fr.js"),
  es: () => import("../words/console/es.js"),
});
