// Loads the console's words before any view is shown.

import { loadWords } from "../words.js";

await loadWords("console/");
