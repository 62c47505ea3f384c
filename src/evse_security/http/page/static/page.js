// Everything on the page works without this: it keeps an open page up to date and compares the two clocks.
"use strict";

const lists = document.querySelectorAll("[data-live]");
const changed = document.getElementById("changed");
const TOGETHER = 300; // milliseconds: events come in groups
const UNSEEN = 60000; // milliseconds after which a hidden page lets go: browsers have few connections to one station

async function renew(list) {
  const answer = await fetch(list.dataset.live, { headers: { accept: "text/html" } });
  if (answer.ok) {
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    list.replaceChildren(...parsed.body.childNodes);
  }
}

function follow() {
  const source = new EventSource("/api/events");
  let waiting = 0;
  let leaving = 0;
  const hear = (event) => {
    if (changed && event.type === "certificate_store_update") changed.hidden = false;
    clearTimeout(waiting);
    waiting = setTimeout(() => lists.forEach((list) => renew(list).catch(() => {})), TOGETHER);
  };
  for (const kind of document.body.dataset.kinds.split(" ")) source.addEventListener(kind, hear);
  addEventListener("pagehide", () => source.close());
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(() => source.close(), UNSEEN);
    else if (source.readyState === EventSource.CLOSED) location.reload();
  });
}

function compareClocks() {
  const shown = document.getElementById("clock");
  const said = document.getElementById("clock-differs");
  if (!shown || !said) return;
  const minutes = Math.round((Date.parse(shown.dateTime) - Date.now()) / 60000);
  if (Math.abs(minutes) < 5) return;
  const days = Math.abs(minutes) / 1440;
  const length = days >= 2 ? `${Math.round(days)} days` : `${Math.abs(minutes)} minutes`;
  said.textContent = `It is ${length} ${minutes > 0 ? "ahead of" : "behind"} the clock of this device.`;
}

compareClocks();
if (lists.length || changed) follow();
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
