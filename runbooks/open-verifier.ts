import { messageOf } from "../lib/error.ts";
import type { Run } from "./types/run.ts";
import type { Health, MetricSource, Sample, Verifier } from "./types/verify.ts";

interface VerifierDeps {
  /** PromQL by trigger: 1 when it is well, 0 when it is not. */
  readonly queries: ReadonlyMap<string, string>;
  readonly source: MetricSource | undefined;
}

/** Asks the operator's own query for the alert's trigger, and looks at the series that are the alert's. */
export function openVerifier({ queries, source }: VerifierDeps): Verifier {
  return {
    healthy: async (run) => {
      const { trigger, labels } = run.trigger;
      const query = queries.get(trigger);
      if (query === undefined || source === undefined)
        return { kind: "not asked", text: `no query is set for ${trigger}` };
      try {
        return judge((await source.query(query)).filter((sample) => isAbout(sample, labels)));
      } catch (error) {
        return { kind: "unknown", text: `the metric cannot be asked: ${messageOf(error)}` };
      }
    },
  };
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
