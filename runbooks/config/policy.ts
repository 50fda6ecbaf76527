import { flag, integer, list, optional, text, withDefault, type Config } from "../../lib/config.ts";
import { actionNames } from "../actions/index.ts";
import { argumentProblemWith } from "../policy/arguments.ts";
import { parseRules, PolicyError } from "../policy/parse.ts";

/** The value of RUNBOOK_POLICY_CONFIGMAP that means: the environment's rules are all there is. */
export const NO_CONFIGMAP = "none";

export const policyVariables = {
  enabled: withDefault(
    "RUNBOOK_AUTOFIX_ENABLED",
    flag,
    false,
    "whether anything may be remediated at all",
  ),
  dryRun: withDefault(
    "RUNBOOK_AUTOFIX_DRY_RUN",
    flag,
    true,
    "only let the cluster check what would be done",
  ),
  policy: withDefault(
    "RUNBOOK_AUTOFIX_POLICY",
    text,
    "",
    "trigger[:reason]=action[:argument][{option,…}], separated by semicolons; counts after the ConfigMap",
  ),
  policyConfigMap: withDefault(
    "RUNBOOK_POLICY_CONFIGMAP",
    text,
    "runbooks/runbooks-policy",
    "<namespace>/<name> of the ConfigMap with the policy; none for the environment alone",
  ),
  namespaces: optional(
    "RUNBOOK_NAMESPACES",
    list,
    "namespaces that may be touched, comma-separated, team-* allowed; all but kube-* when unset",
  ),
  maxUnhealthyPercent: withDefault(
    "RUNBOOK_MAX_UNHEALTHY_PERCENT",
    integer({ min: 1, max: 100 }),
    30,
    "nothing is done when more of a namespace's workloads are sick (from 3 sick ones)",
  ),
  maxUnhealthyTargets: withDefault(
    "RUNBOOK_MAX_UNHEALTHY_TARGETS",
    integer({ min: 1, max: 100_000 }),
    5,
    "nothing is done when more targets got alerts within 10 minutes",
  ),
  runbooksFile: optional(
    "RUNBOOKS_FILE",
    text,
    "the runbook catalogue; ops/runbooks/runbooks.yaml of this package when unset",
  ),
} as const;

/** A policy that cannot be read must stop the start, and be told with the other problems. */
export function policyProblems({
  policy,
  policyConfigMap,
  hypervisorUrl,
}: Pick<Config<typeof policyVariables>, "policy" | "policyConfigMap"> & {
  readonly hypervisorUrl: string | undefined;
}): readonly string[] {
  const sound =
    policyConfigMap === NO_CONFIGMAP || /^[a-z0-9-]+\/[a-z0-9.-]+$/.test(policyConfigMap);
  return [
    ...problemsOf(policy, hypervisorUrl !== undefined).map(
      (problem) => `RUNBOOK_AUTOFIX_POLICY: ${problem}`,
    ),
    ...(sound
      ? []
      : [
          `RUNBOOK_POLICY_CONFIGMAP: must be <namespace>/<name> or ${NO_CONFIGMAP}, got ${JSON.stringify(policyConfigMap)}`,
        ]),
  ];
}

function problemsOf(policy: string, hypervisor: boolean): readonly string[] {
  try {
    parseRules(policy, actionNames, argumentProblemWith({ hypervisor }));
    return [];
  } catch (error) {
    if (error instanceof PolicyError) return error.problems;
    throw error;
  }
}
