import type { Health } from "./types/verify.ts";

export interface Observation {
  /** The cluster has finished what it was asked for; undefined when it does not answer. */
  readonly settled: boolean | undefined;
  /** Alerts of the run that still fire. */
  readonly firing: number;
  /** What the metric says; undefined while it need not be asked, because something else is not well yet. */
  readonly health: Health | undefined;
  /** How long all of it has been well, without a break; 0 when this is the first look that finds it so. */
  readonly wellSeconds: number;
  readonly secondsSince: number;
  readonly limitSeconds: number;
  /** How long the metric must stay well. */
  readonly holdSeconds: number;
}

type Verification =
  | { readonly kind: "wait"; readonly well: boolean }
  | {
      readonly kind: "done";
      readonly state: "succeeded" | "failed" | "unknown";
      readonly why: string;
    };

/**
 * Did it help? Only a finished rollout, silent alerts and a metric that stays well are a success; time alone never makes one.
 * Where no metric is asked, the alerts alone say it, and the outcome tells so.
 */
export function verifyEffect(observation: Observation): Verification {
  const { settled, firing, health, wellSeconds, secondsSince } = observation;
  const { limitSeconds, holdSeconds } = observation;
  const quiet = settled === true && firing === 0;
  if (quiet && health?.kind === "not asked") {
    const why = `done, and the alert resolved (${health.text}: the alert alone was asked)`;
    return { kind: "done", state: "succeeded", why };
  }
  if (quiet && health?.kind === "healthy") {
    if (wellSeconds < holdSeconds) return { kind: "wait", well: true };
    const why = `done, the alert resolved, and ${health.text} for ${holdSeconds} s`;
    return { kind: "done", state: "succeeded", why };
  }
  if (secondsSince < limitSeconds) return { kind: "wait", well: false };
  return { kind: "done", ...verdictAtTheEnd(observation) };
}

function verdictAtTheEnd({ settled, firing, health, limitSeconds }: Observation) {
  const after = `after ${limitSeconds} s`;
  if (settled === undefined)
    return unknown(`the cluster does not answer ${after}: a person must look`);
  if (!settled) return failed(`not done ${after}: the pods are not ready`);
  if (firing > 0) return failed(`done, but ${firing} alerts still fire ${after}: it did not help`);
  if (health?.kind === "sick")
    return failed(`done, and the alert resolved, but ${health.text} ${after}: it did not help`);
  // A source that went away resolves alerts as well: nobody knows whether it is better.
  return unknown(
    `the alert resolved, but ${health?.text ?? "nothing is known"} ${after}: a person must look`,
  );
}

function failed(why: string) {
  return { state: "failed", why } as const;
}

function unknown(why: string) {
  return { state: "unknown", why } as const;
}
