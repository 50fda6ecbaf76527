import { html } from "../../lib/pages/html.ts";
import type { HttpProblem } from "../../lib/problem.ts";
import { shown, sitePage } from "./parts.ts";

const HELP: ReadonlyMap<number, string> = new Map([
  [400, "Change the address or the form, and try again."],
  [403, "Nothing was changed."],
  [404, "Look for it from the overview, or in the list of runs."],
  [413, "Send less at once."],
  [429, "Wait a little, and try again."],
  [503, "Wait a little, and load the page again. A narrower filter is answered faster."],
]);

/** A refusal or a fault as a page: what was wrong, what one can do, and how its log line is found. */
export function problemPage(
  { status, title, detail }: Pick<HttpProblem, "status" | "title" | "detail">,
  correlationId: string | undefined,
): string {
  return sitePage(
    title,
    html`${detail === undefined ? html`` : html`<p role="alert">${shown(detail, 2000)}</p>`}
      <p>${HELP.get(status) ?? "The fault is on our side; it is in the log."}</p>
      <p>
        <small
          >Status ${String(status)}, correlation id <code>${correlationId ?? "none"}</code></small
        >
      </p>`,
    { wide: false },
  );
}
