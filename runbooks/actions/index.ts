import type { ActionName } from "../types.ts";
import { rolloutRestart } from "./rollout-restart.ts";
import type { Action } from "./types.ts";

/** Every action that a policy may name. */
export const actions: Readonly<Record<ActionName, Action>> = {
  rollout_restart: rolloutRestart,
};

export const actionNames: ReadonlySet<string> = new Set(Object.keys(actions));
