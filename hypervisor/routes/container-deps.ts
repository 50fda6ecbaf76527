import type { Backend } from "../backends/types.ts";
import type { Operations } from "../operations/begin.ts";
import type { Quotas } from "../people/quota.ts";
import type { EventSink } from "../types.ts";

/** What the routes about containers need. */
export interface ContainerDeps {
  /** Its refusals are HttpProblems (backend-problems.ts). */
  readonly backend: Backend;
  readonly quotas: Quotas;
  readonly operations: Operations;
  readonly events: EventSink;
}
