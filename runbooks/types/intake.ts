import type { Alert, AlertFrame } from "../../lib/contracts.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type { CollectStep } from "./collect.ts";

/** A procedure for a kind of alert. It names the trigger under which the policy says what may be done. */
export interface Runbook {
  readonly id: string;
  /** The policy's name for the situation; the alert's `metric` label when undefined. */
  readonly trigger: string | undefined;
  readonly matches: (alert: Pick<Alert, "labels">) => boolean;
  /** What people will want to know; nothing when left out. */
  readonly collect?: readonly CollectStep[];
  /** How it is found out whether an action helped; the service's own ways for what is undefined. */
  readonly verify?: RunbookVerify;
}

interface RunbookVerify {
  /** PromQL: 1 when it is well, 0 when it is not. */
  readonly query: string | undefined;
  /** How long it must stay well. */
  readonly holdSeconds: number | undefined;
}

/** What a delivery is made of once its sender is known and its bytes are read. */
export interface Delivery {
  readonly source: string;
  readonly raw: Buffer;
  readonly frame: AlertFrame;
  /** What is odd about the body. */
  readonly flags?: readonly string[];
  /** Of a signed request, so that a copy of it can be told. */
  readonly signature?: string | undefined;
}

/** Sends several jobs at once in the transaction that made them necessary. */
export type EnqueueAll = (
  tx: Queryable,
  queue: "runbooks-run",
  data: readonly object[],
) => Promise<void>;

/** Sends a job in the transaction that made it necessary. */
export type Enqueue = (
  tx: Queryable,
  queue: "runbooks-inbox" | "runbooks-run" | "runbooks-collect",
  data: object,
) => Promise<void>;
