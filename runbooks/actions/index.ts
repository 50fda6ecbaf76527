import type { ActionName } from "../types/policy.ts";
import { restartPods } from "./restart-pods.ts";
import { rolloutRestart } from "./rollout-restart.ts";
import { scaleDown, scaleUp } from "./scale.ts";
import type { Action } from "./types.ts";

/** Every action that can be done; a policy may name no other. */
export const actions: Actions = {
  restart_pods: restartPods,
  rollout_restart: rolloutRestart,
  scale_up: scaleUp,
  scale_down: scaleDown,
};

export type Actions = Readonly<Partial<Record<ActionName, Action>>>;

export const actionNames: ReadonlySet<string> = new Set(Object.keys(actions));
