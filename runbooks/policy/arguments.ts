import { noArgument } from "../actions/argument.ts";
import { actions } from "../actions/index.ts";
import type { ArgumentProblem } from "./parse.ts";

/** Asks the action itself what may stand behind its colon; for those who read a policy that others are to follow. */
export const argumentProblem: ArgumentProblem = (action, argument) => {
  const { readArgument } = actions[action] ?? { readArgument: noArgument(action) };
  const read = readArgument(argument);
  return "problem" in read ? read.problem : undefined;
};

/** For those who are to follow it: they need whom the action is asked of. */
export function argumentProblemWith({
  hypervisor,
}: {
  readonly hypervisor: boolean;
}): ArgumentProblem {
  return (action, argument) =>
    action === "restart_container" && !hypervisor
      ? "restart_container needs a hypervisor: RUNBOOK_HYPERVISOR_URL is not set"
      : argumentProblem(action, argument);
}
