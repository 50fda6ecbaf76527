import type { PrometheusAccess } from "../../lib/access.ts";
import { integer, optional, text, url, withDefault, type Config } from "../../lib/config.ts";
import { messageOf } from "../../lib/error.ts";
import { prometheusAccess, prometheusCredentials } from "../../lib/prometheus-access.ts";
import { parseQueries } from "../verify-queries.ts";

export const verifyVariables = {
  verifySeconds: withDefault(
    "RUNBOOK_VERIFY_SECONDS",
    integer({ min: 5, max: 3600 }),
    300,
    "time for the alert to resolve, and for its metric to be back, after an action",
  ),
  verifyHoldSeconds: withDefault(
    "RUNBOOK_VERIFY_HOLD_SECONDS",
    integer({ min: 0, max: 3600 }),
    180,
    "how long the metric must stay well before it counts; verify=… in a policy rule overrides it",
  ),
  verifyQueries: withDefault(
    "RUNBOOK_VERIFY_QUERIES",
    text,
    "",
    "trigger=PromQL, separated by semicolons: 1 when it is well, 0 when not (a comparison with bool); asked of PROM_URL",
  ),
  promUrl: optional("PROM_URL", url, "address of Prometheus"),
  ...prometheusCredentials,
} as const;

type Settings = Config<typeof verifyVariables>;

/** How to ask Prometheus; undefined without its address. What is wrong with the variables is added to `problems`. */
export function metricAccess(
  { promUrl, ...credentials }: Pick<Settings, "promUrl" | keyof typeof prometheusCredentials>,
  problems: string[] = [],
): PrometheusAccess | undefined {
  return promUrl === undefined
    ? undefined
    : prometheusAccess({ promUrl, ...credentials }, problems);
}

/** Questions without anybody to ask would leave every run unverified. */
export function verifyProblems(settings: Settings): readonly string[] {
  const problems: string[] = [];
  metricAccess(settings, problems);
  try {
    const { size } = parseQueries(settings.verifyQueries);
    if (size > 0 && settings.promUrl === undefined)
      problems.push("RUNBOOK_VERIFY_QUERIES: needs PROM_URL, which says where to ask");
  } catch (error) {
    problems.push(`RUNBOOK_VERIFY_QUERIES: ${messageOf(error)}`);
  }
  return problems;
}
