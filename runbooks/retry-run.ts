import type { Database } from "../lib/postgres.ts";
import { rightOf } from "./approval/authorize.ts";
import { lockRunAndAlerts, openAgain } from "./open-again.ts";
import type { UserGroups } from "./types/approval.ts";
import type { Enqueue } from "./types/intake.ts";
import type { RunState } from "./types/run.ts";

export interface RetryRequest {
  readonly runId: string;
  /** The person; who asks for a run cannot answer it. */
  readonly by: string;
  /** Whether it may act; else it only shows what would happen. */
  readonly mode: "real" | "dry-run";
  /** Where the person said so. */
  readonly via?: "cli" | "page";
}

export type RetryOutcome =
  | { readonly kind: "started"; readonly runId: string }
  | { readonly kind: "not_found" }
  | { readonly kind: "not_allowed"; readonly why: string }
  | { readonly kind: "not_over"; readonly state: RunState }
  /** Its alerts have resolved or belong to a later run, or another run of the target is under way. */
  | { readonly kind: "nothing_to_do"; readonly why: string };

export interface RetryDeps {
  readonly database: Database;
  readonly enqueue: Enqueue;
  /** RUNBOOK_APPROVERS: only they start what may act. */
  readonly approvers: readonly string[];
  readonly groups?: UserGroups | undefined;
}

/** Starts a run again that has ended: a new run, through the whole policy and a new approval. */
export async function retryRun(
  { runId, by, mode, via = "cli" }: RetryRequest,
  { database, enqueue, approvers, groups }: RetryDeps,
): Promise<RetryOutcome> {
  const right = await rightOf(by, { allowed: approvers, known: approvers }, groups);
  if (mode === "real" && right.kind === "may_not") return { kind: "not_allowed", why: right.why };
  return database.inTransaction(async (tx) => {
    const old = await lockRunAndAlerts(tx, runId);
    if (old === undefined) return { kind: "not_found" };
    if (!old.over) return { kind: "not_over", state: old.state };
    const request = { person: right.person, dryRun: mode === "dry-run", via };
    const started = await openAgain(tx, old, request, enqueue);
    const why =
      "none of its alerts fires under it any more, or another run of the target is under way";
    return started === undefined
      ? { kind: "nothing_to_do", why }
      : { kind: "started", runId: started };
  });
}
