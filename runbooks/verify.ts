export interface Observation {
  /** The cluster has finished what it was asked for. */
  readonly settled: boolean;
  /** Alerts of the run that still fire. */
  readonly firing: number;
  readonly secondsSince: number;
  readonly limitSeconds: number;
}

export type Verification =
  | { readonly kind: "wait" }
  | { readonly kind: "done"; readonly state: "succeeded" | "failed"; readonly why: string };

/** Did it help? Only a finished rollout and silent alerts are a success; time alone never makes one. */
export function verifyEffect({
  settled,
  firing,
  secondsSince,
  limitSeconds,
}: Observation): Verification {
  if (settled && firing === 0)
    return { kind: "done", state: "succeeded", why: "rolled out, and the alert resolved" };
  if (secondsSince < limitSeconds) return { kind: "wait" };
  const why = settled
    ? `rolled out, but ${firing} alerts still fire after ${limitSeconds} s: it did not help`
    : `not rolled out after ${limitSeconds} s`;
  return { kind: "done", state: "failed", why };
}
