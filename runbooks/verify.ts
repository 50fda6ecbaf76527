export interface Observation {
  /** The cluster has finished what it was asked for; undefined when it does not answer. */
  readonly settled: boolean | undefined;
  /** Alerts of the run that still fire. */
  readonly firing: number;
  readonly secondsSince: number;
  readonly limitSeconds: number;
}

type Verification =
  | { readonly kind: "wait" }
  | {
      readonly kind: "done";
      readonly state: "succeeded" | "failed" | "unknown";
      readonly why: string;
    };

/** Did it help? Only a finished rollout and silent alerts are a success; time alone never makes one. */
export function verifyEffect(observation: Observation): Verification {
  const { settled, firing, secondsSince, limitSeconds } = observation;
  if (settled === true && firing === 0) {
    return { kind: "done", state: "succeeded", why: "rolled out, and the alert resolved" };
  }
  if (secondsSince < limitSeconds) return { kind: "wait" };
  const after = `after ${limitSeconds} s`;
  if (settled === undefined) {
    return {
      kind: "done",
      state: "unknown",
      why: `the cluster does not answer ${after}: a person must look`,
    };
  }
  const why = settled
    ? `rolled out, but ${firing} alerts still fire ${after}: it did not help`
    : `not rolled out ${after}`;
  return { kind: "done", state: "failed", why };
}
