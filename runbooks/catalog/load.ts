import { readFile } from "node:fs/promises";
import { LineCounter, parseDocument, type Document } from "yaml";
import { parseDuration } from "../../lib/duration.ts";
import { messageOf } from "../../lib/error.ts";
import type { CollectStep } from "../types/collect.ts";
import type { Runbook } from "../types/intake.ts";
import { catalogSchema, type RunbookText } from "./schema.ts";

/** A runbook file that cannot be read: each problem with its line. Nothing of such a file is used. */
export class CatalogError extends Error {
  override readonly name = "CatalogError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join("\n"), options);
    this.problems = problems;
  }
}

/** A runbook with what people want to know of it. */
export interface CatalogRunbook extends Runbook {
  readonly title: string;
}

const TEXT_MAX = 1024 * 1024;

/** @throws CatalogError with file, line and expectation for each problem */
export async function loadCatalog(path: string): Promise<readonly CatalogRunbook[]> {
  return parseCatalog(await readCatalog(path), path);
}

/** @throws CatalogError */
export async function readCatalog(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CatalogError([`${path}: cannot be read`], { cause: error });
  }
}

/**
 * Plain YAML only: the core schema, no custom tags, aliases bounded by the library against bombs.
 *
 * @throws CatalogError
 */
export function parseCatalog(text: string, path: string): readonly CatalogRunbook[] {
  if (text.length > TEXT_MAX)
    throw new CatalogError([`${path}: is longer than ${TEXT_MAX} characters: ${text.length}`]);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, schema: "core", uniqueKeys: true });
  const broken = document.errors.map(
    ({ message, pos }) =>
      `${path}:${lines.linePos(pos[0]).line}: ${message.split("\n", 1)[0] ?? ""}`,
  );
  if (broken.length > 0) throw new CatalogError(broken);

  const parsed = catalogSchema.safeParse(contentOf(document, path));
  if (!parsed.success) {
    throw new CatalogError(
      parsed.error.issues.map(({ path: where, message }) => {
        const line = lineOf(document, where.map(String), lines);
        return `${path}:${line}: ${where.join(".")}: ${message}`;
      }),
    );
  }
  const { runbooks } = parsed.data;
  const repeated = runbooks.flatMap(({ id }, at) => {
    const first = runbooks.findIndex((other) => other.id === id);
    const line = lineOf(document, ["runbooks", String(at), "id"], lines);
    return first === at ? [] : [`${path}:${line}: two runbooks are called ${id}`];
  });
  if (repeated.length > 0) throw new CatalogError(repeated);
  return runbooks.map(toRunbook);
}

function contentOf(document: Document, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    throw new CatalogError([`${path}: ${messageOf(error)}`], { cause: error });
  }
}

/** Of the thing itself, or of the nearest thing around it that is there. */
function lineOf(document: Document, where: readonly string[], lines: LineCounter): number {
  const node = document.getIn(where, true) as { range?: [number, number, number] } | undefined;
  if (node?.range !== undefined) return lines.linePos(node.range[0]).line;
  return where.length === 0 ? 1 : lineOf(document, where.slice(0, -1), lines);
}

const STEP_DEFAULTS = {
  logs: { lines: 500, previous: true, max_bytes: 256 * 1024 },
  prometheus: { minutes: 60, queries: {} },
  container_logs: { lines: 500 },
} as const;

/** `logs` is short for `{step: logs}`; what is left out is filled in. */
function toStep(text: NonNullable<RunbookText["collect"]>[number]): CollectStep {
  const step = typeof text === "string" ? { step: text } : text;
  switch (step.step) {
    case "objects":
    case "events":
    case "rollout_history":
      return { step: step.step };
    case "logs":
      return { ...STEP_DEFAULTS.logs, ...definedOf(step), step: "logs" };
    case "prometheus":
      return { ...STEP_DEFAULTS.prometheus, ...definedOf(step), step: "prometheus" };
    case "container_logs":
      return { ...STEP_DEFAULTS.container_logs, ...definedOf(step), step: "container_logs" };
  }
}

function definedOf<T extends object>(step: T): { [K in keyof T]: NonNullable<T[K]> } {
  const defined = Object.entries(step).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [K in keyof T]: NonNullable<T[K]> };
}

function toRunbook(text: RunbookText): CatalogRunbook {
  const { id, title, match, trigger, collect = [], verify = {} } = text;
  const { labels = {}, metric, reason } = match;
  const wanted = Object.entries({
    ...labels,
    ...(metric === undefined ? {} : { metric }),
    ...(reason === undefined ? {} : { reason }),
  }).map(([name, value]) => [name, new Set([value].flat())] as const);
  return {
    id,
    title,
    trigger,
    collect: collect.map(toStep),
    verify: { query: verify.query, holdSeconds: parseDuration(verify.for ?? "") },
    // Own labels only: one may be called "constructor".
    matches: ({ labels: own }) =>
      wanted.every(([name, values]) => Object.hasOwn(own, name) && values.has(own[name] ?? "")),
  };
}
