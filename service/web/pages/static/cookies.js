// Whether the browser keeps cookies for this page. Without them a sign-in cannot come back.

const PROBE = "guestlist_probe=1";

/** Stores a cookie, reads it back and deletes it: browsers that drop cookies may still report them as enabled. */
export function keepsCookies() {
  try {
    document.cookie = `${PROBE}; path=/; samesite=lax; max-age=60`;
    const isKept = document.cookie.split("; ").includes(PROBE);
    document.cookie = `${PROBE}; path=/; samesite=lax; max-age=0`;
    return isKept;
  } catch {
    return false;
  }
}
