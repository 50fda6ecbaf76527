import type { Queryable } from "../../lib/postgres.ts";
import { actionNames } from "../actions/index.ts";
import type { PolicyDocument, PolicySource } from "../types/policy.ts";
import { parsePolicy } from "./parse.ts";
import { LAST_GOOD_SECONDS } from "./source.ts";
import { storedPolicy } from "./versions.ts";

/** The policy that is in force, as far as the database knows. */
export interface PolicyInForce {
  readonly document: PolicyDocument;
  /** Undefined when no executor has read one: then this is what RUNBOOK_AUTOFIX_POLICY says here. */
  readonly readAt: Date | undefined;
  /** Why it is not in force, or why a newer one cannot be read. */
  readonly problem: string | undefined;
}

/**
 * The policy as the executors read it last; the environment's rules where none has read one.
 *
 * @param environment the text of RUNBOOK_AUTOFIX_POLICY
 */
export async function policyNow(database: Queryable, environment: string): Promise<PolicyInForce> {
  const stored = await storedPolicy(database);
  if (stored.document === undefined) {
    const document = parsePolicy(environment, actionNames);
    const problem =
      stored.problem ?? "no executor has read a policy yet: this is the environment's";
    return { document, readAt: undefined, problem };
  }
  const { document, readAt, ageSeconds } = stored;
  const old = `nobody has read it for ${Math.floor(ageSeconds / 60)} minutes: nothing is allowed`;
  const stop = document.disabled === undefined ? null : `disabled: ${document.disabled}`;
  const problems = [stop, stored.problem, ageSeconds > LAST_GOOD_SECONDS ? old : null];
  const told = problems.filter((problem) => problem !== null);
  const problem = told.length === 0 ? undefined : told.join("; ");
  return { document, readAt, problem };
}

/** The policy as an executor that decides now takes it: one that nobody has read for long allows nothing. */
export function storedPolicySource(database: Queryable, environment: string): PolicySource {
  return {
    current: async () => {
      const stored = await storedPolicy(database);
      if (stored.document === undefined)
        return { kind: "known", document: parsePolicy(environment, actionNames) };
      const minutes = Math.floor(stored.ageSeconds / 60);
      return stored.ageSeconds > LAST_GOOD_SECONDS
        ? { kind: "unknown", why: `no executor has read it for ${minutes} minutes` }
        : { kind: "known", document: stored.document };
    },
  };
}
