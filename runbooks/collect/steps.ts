import type { CollectStep } from "../types/collect.ts";
import { collectEvents } from "./events.ts";
import { collectContainerLogs, collectLogs } from "./logs.ts";
import { collectObjects } from "./objects.ts";
import { collectPrometheus } from "./prometheus.ts";
import { collectRolloutHistory } from "./rollout-history.ts";
import type { Basket, StepContext, StepPorts } from "./step.ts";

type Named<Name> = Extract<CollectStep, { readonly step: Name }>;

type StepFunction<Step> = (
  step: Step,
  context: StepContext,
  ports: StepPorts,
  basket: Basket,
) => Promise<void>;

export const stepFunctions: {
  readonly [Name in CollectStep["step"]]: StepFunction<Named<Name>>;
} = {
  objects: collectObjects,
  events: collectEvents,
  logs: collectLogs,
  rollout_history: collectRolloutHistory,
  prometheus: collectPrometheus,
  container_logs: collectContainerLogs,
};
