import type { Queryable } from "../../lib/postgres.ts";
import type { Run } from "./run.ts";

/** What a breaker's counters say; "unknown" when they cannot be read. */
export type BreakerState =
  | {
      readonly kind: "known";
      readonly open: boolean;
      readonly usedHour: number;
      readonly usedDay: number;
    }
  | { readonly kind: "unknown" };

export interface BreakerLimits {
  readonly hourly: number;
  readonly daily: number;
}

/** The two keys that an action is counted under: its target's, and its app's. */
interface BreakerKeys {
  readonly target: string;
  readonly app: string;
}

export type Slot = { readonly taken: true } | { readonly taken: false; readonly why: string };

/** Counts actions, and says when there were enough of them. */
export interface Guard {
  /** Takes nothing. */
  read(keys: BreakerKeys): Promise<{ readonly target: BreakerState; readonly app: BreakerState }>;
  /** Takes one slot, in the transaction that commits the intent to act. A run's second try keeps its first slot. */
  take(slot: BreakerKeys & { readonly runId: string }, tx: Queryable): Promise<Slot>;
  /** Tells what became of an executed run: what does not help must stop. In the transaction that ends the run. */
  outcome(run: Run, state: "succeeded" | "failed" | "unknown", tx: Queryable): Promise<void>;
}

/** One action under one of its keys. */
interface TakenSlot {
  readonly appKey: string;
  readonly runId: string;
  readonly takenAt: Date;
}

/** A faster view of the breaker, shared by replicas. It may only say no; Postgres says yes. Never rejects. */
export interface BreakerView {
  /** Undefined when it cannot be known, which counts as no; "empty" when it has lost what it knew. */
  used(
    appKey: string,
  ): Promise<{ readonly hour: number; readonly day: number } | "empty" | undefined>;
  /** Fills it with what Postgres knows of the last day. */
  rebuild(slots: readonly TakenSlot[]): Promise<void>;
  /** A slot that the view misses is still counted by Postgres. */
  taken(appKey: string, runId: string): Promise<void>;
}
