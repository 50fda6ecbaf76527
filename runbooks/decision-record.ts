import { canonicalJson, sha256Hex } from "../lib/canonical.ts";
import type { Decision, DecisionInput } from "./decide.ts";

/** A decision as it is kept with its run: everything that it was made from, so that it can be replayed byte for byte. */
export interface DecisionRecord extends Decision {
  readonly input: DecisionInput;
  readonly input_sha256: string;
  /** Null when the policy was not known. */
  readonly policy_sha256: string | null;
  readonly code_version: string;
}

export function decisionRecord(
  input: DecisionInput,
  decision: Decision,
  codeVersion: string,
): DecisionRecord {
  return {
    input,
    input_sha256: sha256Hex(canonicalJson(input)),
    policy_sha256: input.policy.kind === "known" ? input.policy.document.sha256 : null,
    code_version: codeVersion,
    ...decision,
  };
}
