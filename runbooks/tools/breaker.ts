import type { Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { rightOf } from "../approval/authorize.ts";
import {
  breakerKeyOf,
  changeBreaker,
  listBreakers,
  type BreakerChange,
  type BreakerRow,
} from "../breaker-control.ts";
import { withDatabase } from "./with-database.ts";

/** `fettle breaker ls`, and `show` for one. @throws RangeError for a text that names no breaker */
export async function breakers(
  env: Environment,
  log: Log,
  named?: string,
): Promise<readonly BreakerRow[]> {
  return withDatabase(env, log, async (database, { cluster }) =>
    listBreakers(database, named === undefined ? undefined : breakerKeyOf(named, cluster)),
  );
}

/**
 * `fettle breaker open|close`. Anybody may stop actions; only an approver may let them go on.
 *
 * @throws RangeError for a text that names no breaker
 */
export async function setBreaker(
  env: Environment,
  { key: named, ...change }: BreakerChange,
  log: Log,
): Promise<"changed" | "unchanged" | "not_allowed"> {
  return withDatabase(env, log, async (database, { cluster, approvers }) => {
    const list = { allowed: approvers, known: approvers };
    const right = await rightOf(change.by, list, undefined);
    if (change.state === "closed" && right.kind === "may_not") return "not_allowed";
    const key = breakerKeyOf(named, cluster);
    return (await changeBreaker({ key, ...change }, database)) ? "changed" : "unchanged";
  });
}
