// Opens a link whose path was altered before its token: /confirm/#TOKEN, /Confirm#TOKEN.

import { takeToken } from "./link.js";

const { token } = takeToken();
// Servers do not receive the fragment, so only the page finds the token there.
if (token) location.replace(`/confirm#${token}`);
