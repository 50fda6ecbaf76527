import { html, type Html } from "../../lib/pages/html.ts";
import type { BreakerRow } from "../breaker-control.ts";
import type { BreakerLimits } from "../types/breaker.ts";
import type { Viewer } from "./access.ts";
import { badge, shown, sitePage, table, timeOr } from "./parts.ts";

export const SAID = {
  opened: "The breaker is open. No action is taken under it until a person closes it.",
  closed: "The breaker is closed. What was counted stays counted.",
  unchanged: "It was in that state already; nothing was changed.",
} as const;

interface BreakersPage {
  readonly breakers: readonly BreakerRow[];
  readonly limits: BreakerLimits;
  /** What has just been done. */
  readonly said: keyof typeof SAID | undefined;
}

const SHOWN = 200;

export function breakersPage({ breakers, limits, said }: BreakersPage, viewer: Viewer): string {
  const hidden = breakers.length - SHOWN;
  return sitePage(
    "Breakers",
    html`${said === undefined ? html`` : html`<p class="notice" role="status">${SAID[said]}</p>`}
      <p>
        At most ${String(limits.hourly)} actions an hour and ${String(limits.daily)} a day are taken
        for each target, and for each app. An open breaker lets none through.
      </p>
      ${table({
        caption: `Breakers that are open or were used today${hidden > 0 ? ` (the first ${SHOWN}; ${hidden} more)` : ""}`,
        columns: [
          "Breaker",
          "State",
          { name: "This hour", number: true },
          { name: "Today", number: true },
          "Why",
          "By",
          "Since",
        ],
        rows: breakers
          .slice(0, SHOWN)
          .map((row) => [
            shown(row.key, 300),
            row.state === "open" ? badge("open") : "closed",
            `${row.usedHour} of ${limits.hourly}`,
            `${row.usedDay} of ${limits.daily}`,
            shown(row.reason ?? ""),
            row.state === "open" ? shown(row.openedBy ?? "") : "",
            row.state === "open" ? timeOr(row.openedAt, "") : "",
          ]),
        empty: "No breaker is open, and no action was taken in the last day.",
      })}
      ${openForm(viewer)} ${closeForm(breakers, viewer)}`,
    { place: "/breakers" },
  );
}

function openForm(viewer: Viewer): Html {
  return html`<h2>Open a breaker</h2>
    <p>
      Anybody may stop actions. It holds from the next look at it on, before any write to the
      cluster.
    </p>
    <form method="post" action="/breakers/open">
      ${csrfField(viewer)}
      <label for="open-key">Breaker: namespace/app, namespace/kind/name, or a key as above</label>
      <input type="text" id="open-key" name="key" maxlength="600" required />
      ${personFields("open")}
      <button type="submit">Open</button>
    </form>`;
}

function closeForm(breakers: readonly BreakerRow[], viewer: Viewer): Html {
  const open = breakers.filter(({ state }) => state === "open");
  if (open.length === 0) return html``;
  return html`<h2>Close a breaker</h2>
    <p>
      Only an approver may let actions go on. The record says that the name was given on this page.
    </p>
    <form method="post" action="/breakers/close">
      ${csrfField(viewer)}
      <label for="close-key">Breaker</label>
      <select id="close-key" name="key">
        ${open.map(({ key }) => html`<option value="${key}">${shown(key, 300)}</option>`)}
      </select>
      ${personFields("close")}
      <button type="submit">Close</button>
    </form>`;
}

/** Against forms of other sites; a program that sends its token by itself needs none. */
export function csrfField({ csrf }: Viewer): Html {
  return csrf === undefined ? html`` : html`<input type="hidden" name="csrf" value="${csrf}" />`;
}

/** Whoever acts says who it is: the pages' token does not. */
export function personFields(prefix: string, reasonRequired = true): Html {
  const required = reasonRequired ? html`required` : html``;
  return html`<label for="${prefix}-by">Your name</label>
    <input
      type="text"
      id="${prefix}-by"
      name="by"
      maxlength="100"
      autocomplete="username"
      required
    />
    <label for="${prefix}-reason">Reason${reasonRequired ? "" : " (optional)"}</label>
    <input type="text" id="${prefix}-reason" name="reason" maxlength="500" ${required} />`;
}
