import type { Database, Queryable } from "../../../lib/postgres.ts";
import { listKillSwitches, type ActiveKillSwitch } from "../../kill-switch.ts";
import { findApprovals, type ApprovalListed } from "./find-approvals.ts";
import { findRuns, type RunListed } from "./find-runs.ts";

const SHOWN = 10;

/** What a person wants to know first. */
export interface OverviewFacts {
  readonly waiting: { readonly count: number; readonly first: readonly ApprovalListed[] };
  readonly openBreakers: { readonly count: number; readonly first: readonly OpenBreaker[] };
  readonly killSwitches: readonly ActiveKillSwitch[];
  readonly day: DayFacts;
  readonly newest: readonly RunListed[];
  readonly health: HealthFacts;
}

interface OpenBreaker {
  readonly key: string;
  readonly reason: string | null;
  readonly openedBy: string | null;
  readonly openedAt: Date | null;
}

/** The last 24 hours. */
interface DayFacts {
  readonly alerts: number;
  readonly runs: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly unknown: number;
  /** Runs by how they ended, or where they are; the most first. */
  readonly states: readonly { readonly state: string; readonly runs: number }[];
}

export interface HealthFacts {
  readonly inbox: { readonly waiting: number; readonly oldestSeconds: number };
  readonly channels: readonly {
    readonly channel: string;
    readonly waiting: number;
    readonly oldestSeconds: number;
    readonly failingSince: Date | null;
  }[];
  readonly policy:
    | {
        readonly sha256: string | null;
        readonly readAt: Date | null;
        readonly problem: string | null;
      }
    | undefined;
  readonly instances: readonly {
    readonly role: string;
    readonly host: string;
    readonly version: string;
    readonly startedAt: Date;
    readonly silentSeconds: number;
    readonly skewMs: number;
  }[];
}

/** One snapshot, in which nothing can be written. */
export async function overviewFacts(database: Database): Promise<OverviewFacts> {
  return database.inTransaction(
    async (tx) => ({
      waiting: {
        count: await countOf(
          tx,
          `SELECT count(*)::int AS n FROM approvals a JOIN runs r ON r.id = a.run_id
            WHERE a.state = 'pending' AND a.expires_at > now() AND r.finished_at IS NULL`,
        ),
        first: (await findApprovals({ limit: SHOWN }, tx)).approvals,
      },
      openBreakers: await openBreakers(tx),
      killSwitches: (await listKillSwitches(tx)).slice(0, SHOWN),
      day: await dayFacts(tx),
      newest: (await findRuns({ limit: SHOWN }, tx)).runs,
      health: await healthFacts(tx),
    }),
    { isolation: "repeatable read", readOnly: true },
  );
}

async function countOf(tx: Queryable, sql: string): Promise<number> {
  const { rows } = await tx.query<{ n: number }>(sql);
  return rows[0]?.n ?? 0;
}

async function openBreakers(tx: Queryable): Promise<OverviewFacts["openBreakers"]> {
  const { rows } = await tx.query<OpenBreaker>(
    `SELECT app_key AS key, reason, opened_by AS "openedBy", opened_at AS "openedAt"
       FROM breakers WHERE state = 'open' ORDER BY opened_at DESC NULLS LAST LIMIT ${SHOWN}`,
  );
  const count = await countOf(tx, "SELECT count(*)::int AS n FROM breakers WHERE state = 'open'");
  return { count, first: rows };
}

async function dayFacts(tx: Queryable): Promise<DayFacts> {
  const { rows: states } = await tx.query<{ state: string; runs: number }>(
    `SELECT state, count(*)::int AS runs FROM runs WHERE created_at > now() - interval '1 day'
      GROUP BY state ORDER BY count(*) DESC, state`,
  );
  const alerts = await countOf(
    tx,
    "SELECT count(*)::int AS n FROM episodes WHERE first_starts_at > now() - interval '1 day'",
  );
  const of = (name: string) => states.find(({ state }) => state === name)?.runs ?? 0;
  return {
    alerts,
    runs: states.reduce((sum, { runs }) => sum + runs, 0),
    succeeded: of("succeeded"),
    failed: of("failed"),
    unknown: of("unknown"),
    states,
  };
}

async function healthFacts(tx: Queryable): Promise<HealthFacts> {
  const { rows: inbox } = await tx.query<HealthFacts["inbox"]>(
    `SELECT count(*)::int AS waiting, coalesce(extract(epoch FROM now() - min(received_at)), 0)::float AS "oldestSeconds"
       FROM inbox WHERE processed_at IS NULL`,
  );
  const { rows: channels } = await tx.query<HealthFacts["channels"][number]>(
    `SELECT c.channel, count(o.id)::int AS waiting, c.failing_since AS "failingSince",
            coalesce(extract(epoch FROM now() - min(o.created_at)), 0)::float AS "oldestSeconds"
       FROM runbooks_channels c LEFT JOIN runbooks_outbox o ON o.channel = c.channel AND o.result IS NULL
      GROUP BY c.channel ORDER BY c.channel LIMIT ${SHOWN}`,
  );
  const { rows: policy } = await tx.query<NonNullable<HealthFacts["policy"]>>(
    `SELECT sha256, read_at AS "readAt", problem FROM policy_state WHERE id = 1`,
  );
  const { rows: instances } = await tx.query<HealthFacts["instances"][number]>(
    `SELECT role, host, version, started_at AS "startedAt", skew_ms AS "skewMs",
            extract(epoch FROM now() - seen_at)::float AS "silentSeconds"
       FROM instances WHERE seen_at > now() - interval '1 hour' ORDER BY role, host, started_at LIMIT 50`,
  );
  return {
    inbox: inbox[0] ?? { waiting: 0, oldestSeconds: 0 },
    channels,
    policy: policy[0],
    instances,
  };
}
