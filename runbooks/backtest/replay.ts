import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";
import type { PolicyDocument } from "../types/policy.ts";
import { actionChanges, FateChanges, lineChanges, type Difference } from "./compare.ts";
import { Simulation } from "./simulate.ts";
import type { Tally } from "./tally.ts";
import type { AlertHistory, PastAlert, Period, SimulatedWorld } from "./types.ts";

/** What a backtest found out. No clock stands in it: equal alerts, policies and settings give the same text. */
export interface BacktestReport {
  readonly version: 1;
  readonly codeVersion: string;
  readonly source: string;
  readonly settings: {
    readonly approvalDelaySeconds: number;
    readonly actionDelaySeconds: number;
    readonly cooldownSeconds: number;
    readonly maxHourly: number;
    readonly maxDaily: number;
    readonly requireApproval: boolean;
    readonly workloads: number | null;
  };
  readonly policy: { readonly sha256: string; readonly tally: Tally };
  readonly against: { readonly sha256: string; readonly tally: Tally } | null;
  /** From `against` to `policy`. */
  readonly difference: Difference | null;
  /** Of everything above, in canonical JSON. */
  readonly sha256: string;
}

export interface BacktestRequest {
  readonly policy: PolicyDocument;
  readonly against: PolicyDocument | undefined;
  readonly period: Period;
  readonly world: SimulatedWorld;
  readonly codeVersion: string;
  /** Called after each portion with the number of alerts so far. */
  readonly onAlerts?: (count: number) => void;
}

/** history → simulate (both policies side by side, so that the past is read once) → compare → report. */
export async function backtestPolicy(
  { policy, against, period, world, codeVersion, onAlerts }: BacktestRequest,
  history: AlertHistory,
): Promise<BacktestReport> {
  const simulation = new Simulation(policy, world);
  const other = against && new Simulation(against, world);
  const changes = new FateChanges();
  let count = 0;
  for await (const alerts of history.read(period)) {
    for (const alert of alerts) {
      const fate = simulation.see(alert);
      if (other !== undefined)
        changes.saw({ old: other.see(alert), new: fate }, () => describe(alert));
    }
    count += alerts.length;
    onAlerts?.(count);
  }
  const tally = simulation.finish();
  const old = other?.finish();
  const { cooldownSeconds, approvalDelaySeconds, actionDelaySeconds, workloads, switches } = world;
  const content = {
    version: 1 as const,
    codeVersion,
    source: history.name,
    settings: {
      approvalDelaySeconds,
      actionDelaySeconds,
      cooldownSeconds,
      maxHourly: switches.limits.hourly,
      maxDaily: switches.limits.daily,
      requireApproval: switches.requireApproval,
      workloads,
    },
    policy: { sha256: policy.sha256, tally },
    against: against && old ? { sha256: against.sha256, tally: old } : null,
    difference:
      against && old
        ? {
            lines: lineChanges(against, policy),
            actions: actionChanges(old, tally),
            fates: changes.list(),
          }
        : null,
  };
  return { ...content, sha256: sha256Hex(canonicalJson(content)) };
}

/** Long label values come from outside. */
const DESCRIPTION_MAX = 120;

function describe({ at, labels }: PastAlert): string {
  const names = ["alertname", "metric", "reason", "namespace", "deployment", "app", "pod"];
  const words = names.flatMap((name) =>
    Object.hasOwn(labels, name) ? [`${name}=${labels[name] ?? ""}`] : [],
  );
  return `${new Date(at).toISOString()} ${words.join(" ")}`.slice(0, DESCRIPTION_MAX);
}
