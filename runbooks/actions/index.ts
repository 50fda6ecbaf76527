import type { Containers } from "../types/container.ts";
import type { ActionName } from "../types/policy.ts";
import { restartContainer } from "./restart-container.ts";
import { restartPods } from "./restart-pods.ts";
import { rolloutRestart } from "./rollout-restart.ts";
import { scaleDown, scaleUp } from "./scale.ts";
import type { Action } from "./types.ts";

/** What can be done in a Kubernetes cluster. */
export const actions: Actions = {
  restart_pods: restartPods,
  rollout_restart: rolloutRestart,
  scale_up: scaleUp,
  scale_down: scaleDown,
};

export type Actions = Readonly<Partial<Record<ActionName, Action>>>;

/** With what can be done to the hypervisor's containers, where there is one. */
export function actionsWith(containers: Containers | undefined): Actions {
  if (containers === undefined) return actions;
  return { ...actions, restart_container: restartContainer(containers) };
}

/** A policy may name no other. */
export const actionNames: ReadonlySet<string> = new Set([
  ...Object.keys(actions),
  "restart_container" satisfies ActionName,
]);
