// Shows new mail as it comes. The open mail is left alone: only the list of mails changes, unless nothing was there to read.

const EVERY_MS = 1500;

/** @param {Document} page */
function mailboxOf(page) {
  const found = page.getElementById("mailbox");
  if (!found) throw new Error("The page has no #mailbox.");
  return found;
}

async function newest() {
  const answer = await fetch("/dev/mailbox.json", { cache: "no-store" });
  /** @type {{ id: string }[]} */
  const mails = await answer.json();
  return mails[0]?.id ?? "";
}

/** @param {string | undefined} open the id of the mail that is open */
async function freshMailbox(open) {
  const answer = await fetch(open ? `/dev/mailbox?mail=${encodeURIComponent(open)}` : "/dev/mailbox", { cache: "no-store" });
  return mailboxOf(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

async function refresh() {
  const shown = mailboxOf(document);
  if (document.hidden || (await newest()) === shown.dataset["newest"]) return;
  const fresh = await freshMailbox(shown.dataset["open"]);
  const list = shown.querySelector("#list");
  const freshList = fresh.querySelector("#list");
  if (list && freshList) {
    list.replaceWith(freshList);
    shown.dataset["newest"] = fresh.dataset["newest"] ?? "";
  } else {
    shown.replaceWith(fresh);
  }
}

async function keepFresh() {
  try {
    await refresh();
  } catch {
    // The service is being restarted: the next round finds it again.
  }
  setTimeout(keepFresh, EVERY_MS);
}

setTimeout(keepFresh, EVERY_MS);
