import { html, type Html } from "../../lib/pages/html.ts";
import { describeCollection } from "../collect/find.ts";
import type { RunNews } from "../notify/compose.ts";
import { facts, lines, shown, table, words } from "./parts.ts";

const FILES_SHOWN = 60;

/** The diagnostics of a run: where they are, and what is in them. */
export function artefactsOf({ run, collection }: RunNews): Html {
  if (collection === undefined) return html`<p>No diagnostics were ordered for it.</p>`;
  const { state, sha256, link, index, problem } = collection;
  const own = `/runs/${encodeURIComponent(run.id)}/diagnostics.tar.gz`;
  const here = state === "kept" || state === "pending";
  return html`${facts([
    ["Bundle", shown(describeCollection(collection), 600)],
    ["To read it", here ? html`<a href="${own}">from the database</a>` : storeLink(link)],
    ["SHA-256", sha256 === undefined ? undefined : html`<code>${sha256}</code>`],
    ["Trouble", problem === undefined ? undefined : lines(problem)],
  ])}
  ${index === undefined ? html`` : contentOf(index)}`;
}

/** Only an address that a browser may be led to. */
function storeLink(link: string | undefined): Html | undefined {
  if (link === undefined || !/^https?:\/\//.test(link)) return undefined;
  return html`<a href="${link}" rel="noreferrer">from the store</a>`;
}

function contentOf({
  steps,
  files,
}: NonNullable<NonNullable<RunNews["collection"]>["index"]>): Html {
  const hidden = files.length - FILES_SHOWN;
  return html`${table({
    caption: "How they were gathered",
    columns: [
      "Step",
      { name: "Took", number: true },
      { name: "Files", number: true },
      "What it could not do",
    ],
    rows: steps.map((step) => [
      words(step.step),
      `${(step.milliseconds / 1000).toFixed(1)} s`,
      String(step.files),
      shown(step.problems.join("; "), 300),
    ]),
    empty: "No step was done.",
  })}
  ${table({
    caption: `Files${hidden > 0 ? ` (the first ${FILES_SHOWN}; ${hidden} more)` : ""}`,
    columns: ["Name", "Step", { name: "Bytes", number: true }, "Whole"],
    rows: files
      .slice(0, FILES_SHOWN)
      .map((file) => [
        shown(file.name),
        words(file.step),
        String(file.bytes),
        file.cut ? "cut" : "yes",
      ]),
    empty: "There is no file.",
  })}`;
}
