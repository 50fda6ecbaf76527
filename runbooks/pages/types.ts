import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import type { AlertHistory, SimulatedWorld } from "../backtest/types.ts";
import type { Switches } from "../decide.ts";
import type { Facts } from "../facts.ts";
import type { UserGroups } from "../types/approval.ts";
import type { Enqueue, Runbook } from "../types/intake.ts";
import type { Access } from "./access.ts";
import type { RunWatch } from "./run-watch.ts";

/** What the pages are made of. */
export interface Pages {
  readonly access: Access;
  readonly clock: Clock;
  readonly log: Log;
  /** Connections of its own: however many people look, alerts are taken. */
  readonly database: Database;
  readonly watch: RunWatch;
  readonly enqueue: Enqueue;
  readonly groups: UserGroups | undefined;
  readonly switches: Switches;
  /** Whether the breakers have a Redis beside the database. */
  readonly redis: boolean;
  readonly cluster: string;
  /** The text of RUNBOOK_AUTOFIX_POLICY. */
  readonly policyText: string;
  /** For alerts that nobody has sent: read from the database, never from the cluster. */
  readonly facts: Facts;
  /** The catalogue's file as it is now. */
  readonly catalog: () => Promise<readonly Runbook[]>;
  /** The alerts of the past, for backtests, and what they are lived through in. */
  readonly history: AlertHistory;
  readonly world: () => Promise<SimulatedWorld>;
}
