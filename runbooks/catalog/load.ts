import { readFile } from "node:fs/promises";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import type { Runbook } from "../types.ts";

/** A runbook file that cannot be read: each problem with its line. Nothing of such a file is used. */
class CatalogError extends Error {
  override readonly name = "CatalogError";
}

const matchSchema = z
  .strictObject({
    labels: z.record(z.string(), z.string()).optional(),
    metric: z.string().optional(),
    reason: z.string().optional(),
  })
  .refine((match) => Object.keys(match).length > 0, {
    error: "must name at least one of labels, metric, reason",
  });

const fileSchema = z.strictObject({
  runbooks: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
          error: "must be lower-case letters, digits and dashes",
        }),
        title: z.string(),
        match: matchSchema,
        /** The policy's name for this situation; the alert's `metric` label when absent. */
        trigger: z
          .string()
          .regex(/^[\w.-]+$/)
          .optional(),
      }),
    )
    .min(1),
});

type Match = z.infer<typeof matchSchema>;

/** @throws CatalogError with file, line and expectation for each problem */
export async function loadCatalog(path: string): Promise<readonly Runbook[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new CatalogError(`${path}: cannot be read`, { cause: error });
  }
  return parseCatalog(text, path);
}

/** Plain YAML only: the core schema, no custom tags, aliases bounded by the library against bombs. */
export function parseCatalog(text: string, path: string): readonly Runbook[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, schema: "core", uniqueKeys: true });
  const broken = document.errors.map(
    ({ message, pos }) => `${path}:${lines.linePos(pos[0]).line}: ${message}`,
  );
  if (broken.length > 0) throw new CatalogError(broken.join("\n"));

  const parsed = fileSchema.safeParse(document.toJS({ maxAliasCount: 10 }));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path: where, message }) => {
      const node = document.getIn(where.map(String), true) as
        { range?: [number, number, number] } | undefined;
      const line = node?.range === undefined ? 1 : lines.linePos(node.range[0]).line;
      return `${path}:${line}: ${where.join(".")}: ${message}`;
    });
    throw new CatalogError(problems.join("\n"));
  }
  const { runbooks } = parsed.data;
  const repeated = runbooks.map(({ id }) => id).find((id, at, ids) => ids.indexOf(id) !== at);
  if (repeated !== undefined)
    throw new CatalogError(`${path}: two runbooks are called ${repeated}`);
  return runbooks.map(({ id, match, trigger }) => ({
    id,
    trigger,
    matches: ({ labels }) => matchesLabels(match, new Map(Object.entries(labels))),
  }));
}

function matchesLabels(
  { labels = {}, metric, reason }: Match,
  own: ReadonlyMap<string, string>,
): boolean {
  return (
    Object.entries(labels).every(([name, value]) => own.get(name) === value) &&
    (metric === undefined || own.get("metric") === metric) &&
    (reason === undefined || own.get("reason") === reason)
  );
}
