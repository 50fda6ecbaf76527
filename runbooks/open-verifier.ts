import { messageOf } from "../lib/error.ts";
import type { Runbook } from "./types/intake.ts";
import type { Run } from "./types/run.ts";
import { parseTargetKey } from "./types/target.ts";
import type { Health, MetricSource, Sample, Verifier } from "./types/verify.ts";

interface VerifierDeps {
  /** PromQL by trigger: 1 when it is well, 0 when it is not. */
  readonly queries: ReadonlyMap<string, string>;
  readonly source: MetricSource | undefined;
  /** The catalogue as it is now. */
  readonly runbooks?: () => readonly Runbook[];
}

/** Asks the operator's own query for the runbook, or for the alert's trigger, and looks at the series that are the alert's. */
export function openVerifier({ queries, source, runbooks = () => [] }: VerifierDeps): Verifier {
  return {
    healthy: async (run) => {
      const { trigger } = run.trigger;
      const own = runbooks().find(({ id }) => id === run.runbook)?.verify;
      const query = own?.query ?? queries.get(trigger);
      if (query === undefined) return { kind: "not asked", text: `no query is set for ${trigger}` };
      return { ...(await ask(query, labelsOf(run), source)), holdSeconds: own?.holdSeconds };
    },
  };
}

/** What is known of the alert, and of the workload that it is about: it may name only a pod. */
function labelsOf({ trigger, targetKey, app }: Run): Run["trigger"]["labels"] {
  const { kind, namespace, name } = parseTargetKey(targetKey, app);
  const place = kind === "container" ? { project: namespace } : { namespace };
  return { ...trigger.labels, ...place, [kind]: name };
}

async function ask(
  query: string,
  labels: Run["trigger"]["labels"],
  source: MetricSource | undefined,
): Promise<Health> {
  if (source === undefined) {
    // The start refuses queries of the environment without it; a catalogue may change later.
    return { kind: "unknown", text: "the metric cannot be asked: PROM_URL is not set" };
  }
  try {
    return judge((await source.query(query)).filter((sample) => isAbout(sample, labels)));
  } catch (error) {
    return { kind: "unknown", text: `the metric cannot be asked: ${messageOf(error)}` };
  }
}

/**
 * A series is the alert's when no label that both have differs. Nothing of the alert gets into the query itself: its labels
 * are other people's text.
 */
function isAbout({ labels }: Sample, alert: Run["trigger"]["labels"]): boolean {
  return Object.entries(labels).every(
    ([name, value]) => name === "__name__" || !Object.hasOwn(alert, name) || alert[name] === value,
  );
}

/** One sick series is enough; a number that is none (a division by nothing) is no data. */
function judge(samples: readonly Sample[]): Health {
  const values = samples.map(({ value }) => value).filter((value) => !Number.isNaN(value));
  if (values.length < Math.max(1, samples.length))
    return { kind: "no data", text: "the metric has no data" };
  const value = Math.min(...values);
  return value > 0
    ? { kind: "healthy", text: "the metric is well", value }
    : { kind: "sick", text: "the metric is not well", value };
}
