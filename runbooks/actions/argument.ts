import type { Action } from "./types.ts";

/** An action that has no argument says so, instead of forgetting what somebody wrote. */
export function noArgument(action: string): Action["readArgument"] {
  return (text) =>
    text === undefined || text === ""
      ? { value: undefined }
      : { problem: `${action} has no argument, got ${JSON.stringify(text)}` };
}
