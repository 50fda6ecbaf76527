import { Counter, Gauge, type Registry } from "prom-client";
import { systemClock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { actionNames } from "./actions/index.ts";
import { parsePolicy, type ArgumentProblem } from "./policy/parse.ts";
import { openPolicySource } from "./policy/source.ts";
import { recordPolicy, type PolicyNews } from "./policy/versions.ts";
import type { PolicyMap, PolicySource } from "./types/policy.ts";

interface PolicyDeps {
  /** The text of RUNBOOK_AUTOFIX_POLICY. */
  readonly text: string;
  readonly map: PolicyMap | undefined;
  readonly argumentProblem: ArgumentProblem;
  readonly database: Database;
  readonly registry: Registry;
  readonly log: Log;
}

/** The policy, followed until the service stops. */
export function openPolicy(
  { text, map, argumentProblem, database, registry, log }: PolicyDeps,
  stack: StopStack,
): PolicySource {
  const count = policyMetrics(registry);
  const source = openPolicySource({
    map,
    environment: parsePolicy(text, actionNames, argumentProblem),
    actions: actionNames,
    argumentProblem,
    record: async (news) => {
      count(news);
      await recordPolicy(news, database);
    },
    clock: systemClock,
    elapsedMs: () => performance.now(),
    log,
  });
  const stopping = new AbortController();
  const following = source.follow(stopping.signal);
  stack.add("policy", async () => {
    stopping.abort();
    await following;
  });
  return source;
}

function policyMetrics(registry: Registry): (news: PolicyNews) => void {
  const read = new Gauge({
    name: "runbooks_policy_read_timestamp_seconds",
    help: "When the policy was last read; ten minutes later nothing is done any more",
    registers: [registry],
  });
  const failed = new Counter({
    name: "runbooks_policy_read_failed_total",
    help: "Looks at the policy that found none that can be read",
    registers: [registry],
  });
  return ({ kind }) => {
    if (kind === "read") read.setToCurrentTime();
    else failed.inc();
  };
}
