import type { Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { version } from "../../lib/version.ts";
import type { DecisionRecord } from "../decision-record.ts";
import { replayDecision, type Replay } from "../replay-decision.ts";
import type { Trigger } from "../types/run.ts";
import { parseTargetKey } from "../types/target.ts";
import { withDatabase } from "./with-database.ts";

/** A run's decision, as it was recorded. */
export interface KeptDecision {
  readonly run: string;
  readonly state: string;
  readonly decidedAbout: string;
  readonly record: DecisionRecord;
}

export type FoundDecision =
  | { readonly kind: "no run" }
  /** It has not come so far, or an older program kept less. */
  | { readonly kind: "undecided"; readonly state: string }
  | ({ readonly kind: "decided" } & KeptDecision);

/** For `fettle decisions show`. */
export async function decision(env: Environment, id: string, log: Log): Promise<FoundDecision> {
  return withDatabase(env, log, async (database) => (await findDecision(id, database)).found);
}

/** For `fettle decisions replay`: undefined when there is nothing to replay. */
export async function replay(
  env: Environment,
  id: string,
  log: Log,
): Promise<{ readonly found: FoundDecision; readonly replay: Replay | undefined }> {
  return withDatabase(env, log, async (database) => {
    const { found, row } = await findDecision(id, database);
    if (found.kind !== "decided" || row === undefined) return { found, replay: undefined };
    const witnesses = {
      alert: row.trigger,
      target: parseTargetKey(row.target_key, row.app),
      policyDocument: await findPolicy(found.record.policy_sha256, database),
    };
    return { found, replay: replayDecision(found.record, version, witnesses) };
  });
}

interface DecisionRow {
  readonly id: string;
  readonly state: string;
  readonly target_key: string;
  readonly app: string;
  readonly trigger: Trigger;
  readonly decision: Partial<DecisionRecord> | null;
}

async function findDecision(
  id: string,
  database: Queryable,
): Promise<{ readonly found: FoundDecision; readonly row: DecisionRow | undefined }> {
  const { rows } = await database.query<DecisionRow>(
    "SELECT id, state, target_key, app, trigger, decision FROM runs WHERE id = $1",
    [id],
  );
  const [row] = rows;
  if (row === undefined) return { found: { kind: "no run" }, row };
  const { state, decision: record } = row;
  if (record === null || !isWhole(record)) return { found: { kind: "undecided", state }, row };
  const kept = { run: row.id, state, decidedAbout: row.target_key, record };
  return { found: { kind: "decided", ...kept }, row };
}

function isWhole(record: Partial<DecisionRecord>): record is DecisionRecord {
  return record.input !== undefined && record.verdict !== undefined && record.path !== undefined;
}

/** The version of the policy as it was kept when it was first read. */
async function findPolicy(sha256: string | null, database: Queryable): Promise<unknown> {
  const { rows } = await database.query<{ document: unknown }>(
    "SELECT document FROM policy_versions WHERE sha256 = $1",
    [sha256],
  );
  return rows[0]?.document;
}
