import type { Registry } from "prom-client";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import type { TrustsProxy } from "./client-address.ts";
import type { Guard } from "./guard.ts";
import type { Limit } from "./limits.ts";

/** What every kind of route needs. */
export interface RouterDeps {
  readonly guard: Guard;
  readonly database: Database;
  /** Origins (besides our own) whose pages may open WebSockets. */
  readonly origins: readonly string[];
  readonly trustsProxy: TrustsProxy;
  readonly limit: Limit;
  readonly log: Log;
  readonly registry: Registry;
}
