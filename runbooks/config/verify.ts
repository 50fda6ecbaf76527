import { messageOf } from "../../lib/error.ts";
import {
  integer,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
} from "../../lib/config.ts";
import { parseQueries } from "../verify-queries.ts";

export const verifyVariables = {
  verifySeconds: withDefault(
    "RUNBOOK_VERIFY_SECONDS",
    integer({ min: 5, max: 3600 }),
    300,
    "time for the alert to resolve, and for its metric to be back, after an action",
  ),
  verifyHoldSeconds: withDefault(
    "RUNBOOK_VERIFY_HOLD_SECONDS",
    integer({ min: 0, max: 3600 }),
    180,
    "how long the metric must stay well before it counts; verify=… in a policy rule overrides it",
  ),
  verifyQueries: withDefault(
    "RUNBOOK_VERIFY_QUERIES",
    text,
    "",
    "trigger=PromQL, separated by semicolons: 1 when it is well, 0 when not (a comparison with bool); asked of PROM_URL",
  ),
  promUrl: optional("PROM_URL", url, "address of Prometheus"),
  promToken: optional("PROM_TOKEN", secret, "bearer token for Prometheus"),
} as const;

/** Questions without anybody to ask would leave every run unverified. */
export function verifyProblems({
  verifyQueries,
  promUrl,
}: Pick<Config<typeof verifyVariables>, "verifyQueries" | "promUrl">): readonly string[] {
  try {
    const { size } = parseQueries(verifyQueries);
    return size > 0 && promUrl === undefined
      ? ["RUNBOOK_VERIFY_QUERIES: needs PROM_URL, which says where to ask"]
      : [];
  } catch (error) {
    return [`RUNBOOK_VERIFY_QUERIES: ${messageOf(error)}`];
  }
}
