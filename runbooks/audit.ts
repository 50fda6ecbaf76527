import { correlationId } from "../lib/correlation.ts";
import type { Queryable } from "../lib/postgres.ts";
import { currentTraceId } from "../lib/tracing.ts";
import type { AuditEvent, Run } from "./types/run.ts";

/** What an audit row says about the run that it belongs to. */
export interface AuditSubject {
  readonly id: string | null;
  readonly namespace: string | null;
  readonly app: string | null;
  readonly targetKey: string | null;
  readonly plan?: Run["plan"];
}

/**
 * Appends one row per event, and for a run's event a notice, from which the channels are told. Call it in the transaction
 * of the change that the events tell of: no change without a row.
 */
export async function appendAudit(
  tx: Queryable,
  subject: AuditSubject,
  events: readonly AuditEvent[],
): Promise<void> {
  for (const { event, actor, detail = {} } of events) {
    await tx.query(
      `WITH told AS (
         INSERT INTO runbooks_audit (run_id, event, actor, namespace, app, target, action, detail, correlation_id, trace_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id, run_id, event)
       INSERT INTO runbooks_notices (run_id, audit_id, event)
       SELECT run_id, id, event FROM told WHERE run_id IS NOT NULL`,
      [
        subject.id,
        event,
        actor,
        subject.namespace,
        subject.app,
        subject.targetKey,
        subject.plan?.action ?? null,
        JSON.stringify(detail),
        correlationId() ?? null,
        currentTraceId() ?? null,
      ],
    );
  }
}

/** An audit row of one of many subjects. */
export interface AuditEntry extends AuditEvent {
  readonly subject: AuditSubject;
}

/** A row costs some 30 µs, its hash included: a delivery's 50,000 in one statement would come near its 3 s. */
const ENTRIES_AT_ONCE = 5_000;

/** {@link appendAudit} for many subjects, in few statements: a delivery may be about thousands. */
export async function appendAuditEntries(
  tx: Queryable,
  entries: readonly AuditEntry[],
): Promise<void> {
  for (let at = 0; at < entries.length; at += ENTRIES_AT_ONCE)
    await appendTogether(tx, entries.slice(at, at + ENTRIES_AT_ONCE));
}

async function appendTogether(tx: Queryable, entries: readonly AuditEntry[]): Promise<void> {
  const rows = entries.map(({ subject, event, actor, detail = {} }, nth) => ({
    nth,
    run_id: subject.id,
    event,
    actor,
    namespace: subject.namespace,
    app: subject.app,
    target: subject.targetKey,
    action: subject.plan?.action,
    detail,
  }));
  await tx.query(
    `WITH told AS (
       INSERT INTO runbooks_audit (run_id, event, actor, namespace, app, target, action, detail, correlation_id, trace_id)
       SELECT run_id, event, actor, namespace, app, target, action, detail, $2, $3
         FROM jsonb_to_recordset($1::jsonb) AS t(nth int, run_id text, event text, actor text, namespace text, app text,
                                                 target text, action text, detail jsonb)
        ORDER BY nth RETURNING id, run_id, event)
     INSERT INTO runbooks_notices (run_id, audit_id, event)
     SELECT run_id, id, event FROM told WHERE run_id IS NOT NULL ORDER BY id`,
    [JSON.stringify(rows), correlationId() ?? null, currentTraceId() ?? null],
  );
}
