import type { Queryable } from "../../lib/postgres.ts";
import type { Run } from "./run.ts";

/** The diagnostics of a run, as its way goes through them. A slow or dead store never blocks a run. */
export interface CollectorGate {
  /** Orders the collection, in the transaction that moves the run on. False: there is nothing to collect for it. */
  begin(tx: Queryable, run: Run): Promise<boolean>;
  /** Whether everything is gathered, or given up. */
  settled(runId: string): Promise<boolean>;
}
