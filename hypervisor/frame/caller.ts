import type { IncomingMessage } from "node:http";
import { correlationId } from "../../lib/correlation.ts";
import type { Principal } from "../types.ts";
import type { Call } from "./call.ts";
import { checkIfMatch } from "./etag.ts";
import { HiddenProblem, type Attempt, type Guard } from "./guard.ts";

export type Caller = Pick<
  Call,
  "principal" | "correlationId" | "ip" | "header" | "require" | "project" | "ifMatch"
>;

/** The parts of a {@link Call} that WebSockets have as well. */
export function callerOf(
  request: Pick<IncomingMessage, "headers">,
  {
    guard,
    principal,
    attempt,
  }: { readonly guard: Guard; readonly principal: Principal; readonly attempt: Attempt },
): Caller {
  const header = (name: string): string | undefined => {
    const value = request.headers[name.toLowerCase()];
    return typeof value === "string" ? value : undefined;
  };
  return {
    principal,
    correlationId: correlationId() ?? "",
    ip: attempt.ip,
    header,
    require: async (permission, resourceId) =>
      guard.permit(principal, permission, { ...attempt, resourceId }),
    project: (name) => {
      if (principal.projects === "all" || principal.projects.has(name)) return name;
      throw new HiddenProblem(404, "Not found", `There is no project ${JSON.stringify(name)}.`);
    },
    ifMatch: (etag) => {
      checkIfMatch(header("if-match"), etag);
    },
  };
}
