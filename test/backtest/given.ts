import { actionNames } from "../../runbooks/actions/index.ts";
import { backtestPolicy, type BacktestReport } from "../../runbooks/backtest/replay.ts";
import type { AlertHistory, PastAlert, SimulatedWorld } from "../../runbooks/backtest/types.ts";
import { parseCatalog } from "../../runbooks/catalog/load.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";

/** The begin of the tests' past. */
export const START = Date.parse("2026-11-02T00:00:00Z");
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export const WORLD: SimulatedWorld = {
  catalog: parseCatalog(
    "runbooks: [{ id: anomaly, title: t, match: { labels: { alertname: AIOpsAnomalyDetected } } }]",
    "test",
  ),
  cluster: "default",
  sourceNamespacesOf: () => null,
  switches: {
    enabled: true,
    dryRun: false,
    requireApproval: true,
    approvers: ["ana"],
    limits: { hourly: 3, daily: 10 },
    unhealthy: { percent: 30, recentTargets: 5 },
  },
  scope: { namespaces: null, sourceNamespaces: null },
  cooldownSeconds: 900,
  approvalSeconds: 900,
  verifySeconds: 300,
  approvalDelaySeconds: 300,
  actionDelaySeconds: 30,
  workloads: null,
};

/** An alert about an app of `shop` that begins so many minutes after the start, and ends so many after that. */
export function pastAlert(
  minutes: number,
  lasts: number,
  labels: Readonly<Record<string, string>> = {},
): PastAlert {
  const at = START + minutes * MINUTE;
  return {
    at,
    resolvedAt: at + lasts * MINUTE,
    labels: {
      alertname: "AIOpsAnomalyDetected",
      metric: "latency_p99",
      reason: "level_shift",
      namespace: "shop",
      app: "checkout",
      ...labels,
    },
    source: "test",
    truncated: false,
  };
}

function historyOf(alerts: readonly PastAlert[]): AlertHistory {
  return {
    name: "test",
    read: async function* () {
      yield alerts;
    },
  };
}

const RESTART = "latency_p99=rollout_restart";

/** What a policy would have done; RESTART unless another one is given. */
export async function backtest(
  alerts: readonly PastAlert[],
  {
    policy = RESTART,
    against,
    ...world
  }: Partial<SimulatedWorld> & { readonly policy?: string; readonly against?: string } = {},
): Promise<BacktestReport> {
  return backtestPolicy(
    {
      policy: parsePolicy(policy, actionNames),
      against: against === undefined ? undefined : parsePolicy(against, actionNames),
      period: { from: START, to: START + 365 * 24 * HOUR },
      world: { ...WORLD, ...world },
      codeVersion: "test",
    },
    historyOf(alerts),
  );
}

/** With nobody to ask. */
export const UNASKED = { switches: { ...WORLD.switches, requireApproval: false } };
