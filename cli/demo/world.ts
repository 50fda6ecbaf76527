import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { AllServices } from "../all.ts";
import type { Context } from "../context.ts";
import type { DemoKeys } from "./keys.ts";
import type { Kubernetes } from "./kubernetes.ts";
import type { Narrator } from "./narrator.ts";
import type { AnomalyWatch } from "./anomaly-watch.ts";

export interface DemoOptions {
  readonly folder: string;
  /** Approve without asking. */
  readonly yes: boolean;
}

export interface DemoWorld {
  readonly context: Context;
  readonly options: DemoOptions;
  readonly log: Log;
  readonly narrator: Narrator;
  readonly keys: DemoKeys;
  readonly kubernetes: Kubernetes;
  readonly clock: Clock;
  readonly services: AllServices;
  readonly anomalies: AnomalyWatch;
}
