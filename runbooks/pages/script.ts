/**
 * Makes pages better that work without it. Times get the reader's own as a tooltip, which moves nothing; a run's page is
 * brought up to date by events or, where those do not come, by looking every ten seconds. What it puts into the page is
 * what the server has made, and nothing that a person is about to use is taken away.
 */
export const SCRIPT = `"use strict";
const POLL_MS = 10000;

function tellLocalTimes() {
  for (const element of document.querySelectorAll("time[datetime]"))
    element.title = new Date(element.dateTime).toLocaleString();
}

function inUse(element) {
  if (element.id !== "actions") return false;
  const typed = [...element.querySelectorAll("input[type=text]")].some((input) => input.value !== "");
  return typed || element.contains(document.activeElement);
}

function replace(element, fresh) {
  if (element.innerHTML === fresh.innerHTML || inUse(element)) return;
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const open = [...element.querySelectorAll("details")].map((details) => details.open);
  element.replaceChildren(...fresh.childNodes);
  element.querySelectorAll("details").forEach((details, at) => { details.open = open[at] === true; });
  const href = focused?.getAttribute("href");
  if (href) element.querySelector("a[href=\\"" + CSS.escape(href) + "\\"]")?.focus({ preventScroll: true });
}

async function update() {
  const answer = await fetch(location.pathname, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["run-status", "live", "actions"]) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && now) replace(old, now);
  }
  tellLocalTimes();
}

function follow(address, version) {
  const source = new EventSource(address);
  let polls;
  const stop = () => { source.close(); clearInterval(polls); };
  source.addEventListener("run", (event) => {
    const run = JSON.parse(event.data);
    if (run.version !== version) update().catch(() => undefined);
    version = run.version;
  });
  source.addEventListener("end", stop);
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED || polls) return;
    polls = setInterval(() => { update().catch(() => undefined); }, POLL_MS);
  });
  addEventListener("pagehide", stop);
}

tellLocalTimes();
const live = document.getElementById("live");
if (live?.dataset.stream) follow(live.dataset.stream, live.dataset.version);
`;
