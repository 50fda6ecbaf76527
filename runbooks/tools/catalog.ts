import { fileURLToPath } from "node:url";
import { catalogJsonSchema } from "../catalog/schema.ts";
import { CatalogError, loadCatalog, type CatalogRunbook } from "../catalog/load.ts";
import type { Target } from "../types/target.ts";
import { wishOf } from "../wish.ts";

/** The catalogue that ships with Fettle, wherever it was started from. */
const PACKAGED = fileURLToPath(new URL("../../ops/runbooks/runbooks.yaml", import.meta.url));

export type CatalogCheck =
  | {
      readonly kind: "sound";
      readonly path: string;
      readonly runbooks: readonly Pick<CatalogRunbook, "id" | "title" | "trigger">[];
    }
  | { readonly kind: "broken"; readonly path: string; readonly problems: readonly string[] };

/** `fettle runbooks lint | ls`: reads a catalogue, the shipped one when undefined. */
export async function checkCatalog(path: string = PACKAGED): Promise<CatalogCheck> {
  try {
    const runbooks = await loadCatalog(path);
    const shown = runbooks.map(({ id, title, trigger }) => ({ id, title, trigger }));
    return { kind: "sound", path, runbooks: shown };
  } catch (error) {
    if (!(error instanceof CatalogError)) throw error;
    return { kind: "broken", path, problems: error.problems };
  }
}

/** `fettle runbooks schema`. */
export function catalogSchemaText(): string {
  return JSON.stringify(catalogJsonSchema(), null, 2);
}

export type CatalogTrial =
  | { readonly kind: "no runbook" }
  | { readonly kind: "nothing may be done"; readonly runbook: string; readonly why: string }
  | {
      readonly kind: "run";
      readonly runbook: string;
      readonly trigger: string;
      readonly reason: string;
      readonly target: Target;
    };

/**
 * `fettle runbooks test`: what would become of an alert with these labels, before the policy is asked.
 *
 * @throws CatalogError
 */
export async function tryCatalog(
  path: string | undefined,
  labels: Readonly<Record<string, string>>,
  cluster: string,
): Promise<CatalogTrial> {
  const found = wishOf(
    { labels, annotations: {}, startsAt: "", source: "cli", truncated: false },
    { catalog: await loadCatalog(path ?? PACKAGED), cluster, sourceNamespacesOf: () => null },
  );
  if (found.kind === "none") return { kind: "no runbook" };
  if (found.kind === "refused")
    return { kind: "nothing may be done", runbook: found.runbook, why: found.why };
  const { runbook, target, trigger } = found.wish;
  return {
    kind: "run",
    runbook: runbook.id,
    trigger: trigger.trigger,
    reason: trigger.reason,
    target,
  };
}
