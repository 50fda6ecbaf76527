import { correlationId } from "../lib/correlation.ts";
import type { Queryable } from "../lib/postgres.ts";
import { currentTraceId } from "../lib/tracing.ts";
import type { AuditEvent, Run } from "./types.ts";

/** What an audit row says about the run that it belongs to. */
export interface AuditSubject {
  readonly id: string | null;
  readonly namespace: string | null;
  readonly app: string | null;
  readonly targetKey: string | null;
  readonly plan?: Run["plan"];
}

/** Appends one row per event. Call it in the transaction of the change that the events tell of: no change without a row. */
export async function appendAudit(
  tx: Queryable,
  subject: AuditSubject,
  events: readonly AuditEvent[],
): Promise<void> {
  for (const { event, actor, detail = {} } of events) {
    await tx.query(
      `INSERT INTO runbooks_audit (run_id, event, actor, namespace, app, target, action, detail, correlation_id, trace_id)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
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
