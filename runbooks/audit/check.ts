import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { auditStatus, type AuditStatus } from "./status.ts";
import { verifyAudit, type AuditReport } from "./verify.ts";

export interface CheckDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Hears what is known now, also of others' checks. */
  readonly known: (status: AuditStatus) => void;
}

const LOOK_MS = 60_000;
/** Between two checks, whoever makes them. */
const CHECK_MINUTES = 60;
const CHECKS_KEPT = 200;
/** A check may take half of one core at most, and leaves the others their turn. */
const PAUSE_SHARE = 1;

/** Recomputes the whole record every hour, in one of the replicas, and tells what is known every minute. */
export async function checkUntil(signal: AbortSignal, deps: CheckDeps): Promise<void> {
  const isOver = () => signal.aborted;
  while (!isOver()) {
    try {
      await checkWhenDue(signal, deps);
      deps.known(await auditStatus(deps.database));
    } catch (error) {
      if (!isOver()) deps.log.warn("the record was not checked, will be tried again", { error });
    }
    await deps.clock.sleep(LOOK_MS, signal);
  }
}

/** @returns undefined when another replica checks, or has checked lately */
export async function checkWhenDue(
  signal: AbortSignal,
  { database, clock, log }: CheckDeps,
): Promise<AuditReport | undefined> {
  const id = await claimCheck(database);
  if (id === undefined) return undefined;
  let turn = performance.now();
  const report = await verifyAudit(database, {
    signal,
    afterPage: async () => {
      await clock.sleep((performance.now() - turn) * PAUSE_SHARE, signal);
      turn = performance.now();
    },
  });
  const { rows, rowsBefore, chains, problems, problemCount } = report;
  await database.query(
    "UPDATE audit_checks SET finished_at = now(), rows = $2, chains = $3, problems = $4 WHERE id = $1",
    [id, rows + rowsBefore, chains, JSON.stringify(problems)],
  );
  const [first] = problems;
  if (first === undefined) log.info("the record is sound", { rows: rows + rowsBefore, chains });
  else log.error("the record was tampered with", { problems: problemCount, first: { ...first } });
  return report;
}

/** The one who writes the row checks; a check that was broken off is due again after the same time. */
async function claimCheck(database: Database): Promise<string | undefined> {
  return database.inTransaction(async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock(hashtext('fettle audit check'))");
    const { rows } = await tx.query<{ id: string }>(
      `INSERT INTO audit_checks (started_at)
       SELECT now() WHERE NOT EXISTS (SELECT 1 FROM audit_checks WHERE started_at > now() - make_interval(mins => $1))
       RETURNING id`,
      [CHECK_MINUTES],
    );
    const [claimed] = rows;
    if (claimed === undefined) return undefined;
    await tx.query("DELETE FROM audit_checks WHERE id <= $1::bigint - $2", [
      claimed.id,
      CHECKS_KEPT,
    ]);
    return claimed.id;
  });
}
