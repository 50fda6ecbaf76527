import { actions } from "../actions/index.ts";
import type { ArgumentProblem } from "./parse.ts";

/** Asks the action itself what may stand behind its colon. */
export const argumentProblem: ArgumentProblem = (action, argument) => {
  const read = actions[action]?.readArgument(argument);
  return read !== undefined && "problem" in read ? read.problem : undefined;
};
