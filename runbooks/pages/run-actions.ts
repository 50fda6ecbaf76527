import { z } from "zod";
import { html, type Html } from "../../lib/pages/html.ts";
import { BEGUN } from "../cancel-run.ts";
import type { RunNews } from "../notify/compose.ts";
import type { Viewer } from "./access.ts";
import { csrfField, personFields } from "./breakers.ts";
import { optionalOf } from "./read-query.ts";

export const RUN_SAID = {
  cancelled: "The run is cancelled.",
  started: "This run was started as a dry run: nothing will be changed.",
} as const;

export const saidSchema = z.strictObject({
  said: optionalOf(z.enum(["cancelled", "started"], "is not known")),
});

/** What a person may do about a run. Answering it needs a personal link: that is on the request's page. */
export function runActions({ run, finishedAt }: RunNews, viewer: Viewer): Html {
  const path = `/runs/${encodeURIComponent(run.id)}`;
  if (finishedAt !== undefined) {
    return html`<h2>Run it again as a dry run</h2>
      <p>
        A new run for the same alerts, through the whole policy: the cluster is only asked whether
        it would accept the plan.
      </p>
      <form method="post" action="${path}/dry-run">
        ${csrfField(viewer)} ${personFields("again", false)}
        <button type="submit">Start the dry run</button>
      </form>`;
  }
  if (BEGUN.includes(run.state)) return html``;
  return html`<h2>Cancel it</h2>
    <p>
      Nothing has been done yet. Anybody may stop it; the record says that the name was given here.
    </p>
    <form method="post" action="${path}/cancel">
      ${csrfField(viewer)} ${personFields("cancel", false)}
      <button type="submit">Cancel the run</button>
    </form>`;
}
