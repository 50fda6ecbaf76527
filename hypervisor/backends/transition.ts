import { BackendError } from "./error.ts";
import type { Action, ContainerStatus } from "./types.ts";

type Step = "do" | "nothing" | "refuse";

/** The same on every backend: their engines disagree about what a restart of a stopped container means. */
const STEPS: Readonly<Record<Action, Readonly<Partial<Record<ContainerStatus, Step>>>>> = {
  start: { running: "nothing", paused: "refuse" },
  stop: { stopped: "nothing" },
  restart: { stopped: "refuse", paused: "refuse" },
  pause: { paused: "nothing", stopped: "refuse" },
  resume: { running: "nothing", stopped: "refuse" },
};

/**
 * Whether the action has to be done to a container of this status.
 *
 * @throws BackendError `conflict` when it cannot be
 */
export function mustAct(action: Action, name: string, status: ContainerStatus): boolean {
  const step = STEPS[action][status] ?? "do";
  if (step === "refuse") {
    throw new BackendError("conflict", `cannot ${action} container ${name}: it is ${status}`);
  }
  return step === "do";
}
