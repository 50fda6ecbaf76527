import {
  flag,
  integer,
  list,
  optional,
  secret,
  withDefault,
  type Config,
} from "../../lib/config.ts";
import { approverProblem, couldGive } from "../approval/authorize.ts";
import { tooShort } from "./too-short.ts";

/** A shorter key can be guessed; 32 bytes is HMAC-SHA256's own size. */
const APPROVAL_SECRET_MIN_LENGTH = 32;

export const approvalVariables = {
  requireApproval: withDefault(
    "RUNBOOK_AUTOFIX_REQUIRE_APPROVAL",
    flag,
    true,
    "ask a person before acting",
  ),
  approvers: withDefault(
    "RUNBOOK_APPROVERS",
    list,
    [],
    "who may approve, comma-separated: name, name=U0123AB (with a Slack account), U0123AB, @S0123AB; nobody when empty",
  ),
  approvalSecret: optional(
    "RUNBOOK_APPROVAL_SECRET",
    secret,
    "key of the approval links, at least 32 characters",
  ),
  approvalSeconds: withDefault(
    "RUNBOOK_APPROVAL_SECONDS",
    integer({ min: 10, max: 3600 }),
    900,
    "an unanswered request expires after this",
  ),
  productionNamespaces: withDefault(
    "RUNBOOK_PRODUCTION_NAMESPACES",
    list,
    [],
    "namespaces where two people must approve what touches more than half of a workload's pods",
  ),
} as const;

/** Where four eyes are wanted there have to be four. */
const FOUR_EYES = 2;

export function approvalProblems({
  approvalSecret,
  approvers,
  productionNamespaces,
  requireApproval,
}: Config<typeof approvalVariables>): readonly string[] {
  const fourEyes = requireApproval && approvers.length > 0 && productionNamespaces.length > 0;
  return [
    ...tooShort("RUNBOOK_APPROVAL_SECRET", approvalSecret, APPROVAL_SECRET_MIN_LENGTH),
    ...approvers
      .flatMap((entry) => approverProblem(entry) ?? [])
      .map((problem) => `RUNBOOK_APPROVERS: ${problem}`),
    ...(fourEyes && !couldGive(approvers, FOUR_EYES)
      ? ["RUNBOOK_APPROVERS: needs two people with RUNBOOK_PRODUCTION_NAMESPACES"]
      : []),
  ];
}
