import type { Clock } from "../lib/clock.ts";
import type { Readiness } from "../lib/http.ts";

/** /health and /ready are open to everybody, and ask others: one look serves all who come in this time. */
const NEEDED_FRESH_MS = 1_000;
const PROBES_FRESH_MS = 5_000;
const ASK_MS = 1_500;

/** Whether a server answers. @throws when it does not */
export type Probe = (signal: AbortSignal) => Promise<void>;

export interface HealthDeps {
  /** What the service cannot do without. */
  readonly needed: () => Promise<Readiness>;
  /** What it can do without: by name. */
  readonly probes: Readonly<Record<string, Probe>>;
  readonly clock: Clock;
}

/**
 * All that the service depends on. The database alone decides whether it can take work: without Prometheus, Loki or Grafana
 * some answers are missing, which `/health` shows as `degraded`.
 */
export function healthOf({ needed, probes, clock }: HealthDeps): () => Promise<Readiness> {
  const probed = shared(PROBES_FRESH_MS, clock, async () => {
    const all = Object.entries(probes).map(async ([name, probe]) => [name, await check(probe)]);
    return Object.fromEntries(await Promise.all(all)) as Readiness["checks"];
  });
  const ready = shared(NEEDED_FRESH_MS, clock, needed);
  return async () => {
    const [readiness, checks] = await Promise.all([ready(), probed()]);
    return { ...readiness, checks: { ...readiness.checks, ...checks } };
  };
}

function shared<T>(freshMs: number, clock: Clock, look: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly seen: Promise<T> } | undefined;
  return async () => {
    const now = clock.now().getTime();
    if (last === undefined || now - last.at >= freshMs) last = { at: now, seen: look() };
    return last.seen;
  };
}

/** Why it does not answer is for the log: the address may be nobody's business. */
async function check(probe: Probe): Promise<Readiness["checks"][string]> {
  return probe(AbortSignal.timeout(ASK_MS)).then(
    () => ({ ok: true }),
    () => ({ ok: false, detail: "does not answer" }),
  );
}
