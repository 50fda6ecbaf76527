import type { Database, Queryable } from "../../../lib/postgres.ts";
import type { DecisionRecord } from "../../decision-record.ts";
import { composeRun, type RunNews } from "../../notify/compose.ts";

/** Everything that a run's page shows. */
export interface RunFacts {
  readonly news: RunNews;
  /** The newest rows of its record, the oldest of them first. */
  readonly record: readonly RecordRow[];
  /** There are older ones, which only the audit page shows. */
  readonly recordCut: boolean;
  /** Undefined until it was decided. */
  readonly decision: DecisionRecord | undefined;
  readonly alerts: readonly RunAlert[];
  readonly told: readonly ToldChannel[];
}

export interface RecordRow {
  readonly id: string;
  readonly at: Date;
  readonly event: string;
  readonly actor: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

interface RunAlert {
  readonly id: string;
  readonly source: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly since: Date;
  readonly lastSeen: Date;
  readonly resolved: Date | null;
}

/** What one channel was told of a run. */
interface ToldChannel {
  readonly channel: string;
  readonly delivered: number;
  readonly waiting: number;
  /** Refused, or given up after a day. */
  readonly lost: number;
  readonly lastSent: Date | null;
  /** Why the newest of those that wait or are lost did not arrive. */
  readonly problem: string | null;
}

const RECORD_SHOWN = 100;
const ALERTS_SHOWN = 20;
const CHANNELS_SHOWN = 10;

/** Undefined for a run that does not exist. One snapshot, in which nothing can be written. */
export async function runFacts(id: string, database: Database): Promise<RunFacts | undefined> {
  return database.inTransaction(
    async (tx) => {
      const news = await composeRun(id, tx);
      if (news === undefined) return undefined;
      return {
        news,
        ...(await recordOf(id, tx)),
        decision: await decisionOf(id, tx),
        alerts: await alertsOf(id, tx),
        told: await toldOf(id, tx),
      };
    },
    { isolation: "repeatable read", readOnly: true },
  );
}

async function recordOf(id: string, db: Queryable) {
  const { rows } = await db.query<RecordRow>(
    `SELECT id, ts AS at, event, actor, detail FROM runbooks_audit
      WHERE run_id = $1 ORDER BY id DESC LIMIT ${RECORD_SHOWN + 1}`,
    [id],
  );
  return { record: rows.slice(0, RECORD_SHOWN).reverse(), recordCut: rows.length > RECORD_SHOWN };
}

async function decisionOf(id: string, db: Queryable): Promise<DecisionRecord | undefined> {
  const { rows } = await db.query<{ decision: DecisionRecord | null }>(
    "SELECT decision FROM runs WHERE id = $1",
    [id],
  );
  return rows[0]?.decision ?? undefined;
}

async function alertsOf(id: string, db: Queryable): Promise<readonly RunAlert[]> {
  const { rows } = await db.query<RunAlert>(
    `SELECT id, source, labels, first_starts_at AS since, last_seen_at AS "lastSeen", resolved_at AS resolved
       FROM episodes WHERE run_id = $1 ORDER BY resolved_at IS NOT NULL, first_starts_at DESC LIMIT ${ALERTS_SHOWN}`,
    [id],
  );
  return rows;
}

async function toldOf(id: string, db: Queryable): Promise<readonly ToldChannel[]> {
  const { rows } = await db.query<ToldChannel>(
    `SELECT channel, count(*) FILTER (WHERE result = 'delivered')::int AS delivered,
            count(*) FILTER (WHERE result IS NULL)::int AS waiting,
            count(*) FILTER (WHERE result IN ('refused', 'gave_up'))::int AS lost,
            max(sent_at) FILTER (WHERE result = 'delivered') AS "lastSent",
            (array_agg(last_error ORDER BY id DESC)
               FILTER (WHERE last_error IS NOT NULL AND result IS DISTINCT FROM 'delivered'))[1] AS problem
       FROM runbooks_outbox WHERE run_id = $1 GROUP BY channel ORDER BY channel LIMIT ${CHANNELS_SHOWN}`,
    [id],
  );
  return rows;
}
