// Shows new mail as it comes. The open mail is left alone: only the list of mails changes, unless nothing was there to read.

const EVERY_MS = 1500;
const shown = () => document.getElementById("mailbox");

async function newest() {
  const answer = await fetch("/dev/mailbox.json", { cache: "no-store" });
  const mails = await answer.json();
  return mails.length ? mails[0].id : "";
}

async function freshPage() {
  const open = shown().dataset.open;
  const answer = await fetch(open ? `/dev/mailbox?mail=${encodeURIComponent(open)}` : "/dev/mailbox", { cache: "no-store" });
  return new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("mailbox");
}

async function refresh() {
  if (document.hidden || (await newest()) === shown().dataset.newest) return;
  const fresh = await freshPage();
  const list = document.getElementById("list");
  const freshList = fresh.querySelector("#list");
  if (list && freshList) {
    list.replaceWith(freshList);
    shown().dataset.newest = fresh.dataset.newest;
  } else {
    shown().replaceWith(fresh);
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
