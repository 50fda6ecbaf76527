import { readFile } from "node:fs/promises";
import { parse } from "yaml";

type Section = Readonly<Record<string, unknown>>;

interface Collector {
  readonly receivers?: Section;
  readonly processors?: Section;
  readonly exporters?: Section;
  readonly extensions?: Section;
  readonly service: {
    readonly extensions?: readonly string[];
    readonly pipelines: Readonly<Record<string, Pipeline>>;
  };
}

type Pipeline = Readonly<Record<"receivers" | "processors" | "exporters", readonly string[]>>;
type Kind = keyof Pipeline | "extensions";

/** Components of the contrib distribution and their settings; looked up in their READMEs before one is added here. */
const COMPONENTS: Readonly<Record<Kind, Readonly<Record<string, readonly string[]>>>> = {
  receivers: { otlp: ["protocols"] },
  processors: {
    memory_limiter: ["check_interval", "limit_percentage", "spike_limit_percentage"],
    batch: ["timeout"],
    tail_sampling: ["decision_wait", "policies"],
  },
  exporters: { otlp: ["endpoint", "tls"] },
  extensions: { health_check: ["endpoint"] },
};

/** What opentelemetry-collector's chart defines by itself, and ours need not. */
const OF_THE_CHART: Collector = {
  receivers: { otlp: {} },
  processors: { memory_limiter: {}, batch: {} },
  service: { pipelines: {} },
};

/** The first processor must be able to refuse, and nothing may be sampled after it was put into batches. */
const ORDER = ["memory_limiter", "tail_sampling", "batch"];

/** The collector's pipelines: each part is there, known, used, and in the right order; Helm's values are the same. */
export async function checkCollector(): Promise<readonly string[]> {
  const own = parse(await readFile("ops/otel/collector.yml", "utf8")) as Collector;
  const values = parse(await readFile("ops/helm/otel-collector-values.yaml", "utf8")) as {
    config: Collector;
  };
  return [
    ...problemsOf("ops/otel/collector.yml", own, { service: { pipelines: {} } }),
    ...problemsOf("ops/helm/otel-collector-values.yaml", values.config, OF_THE_CHART),
    ...differences(own, values.config),
  ];
}

function problemsOf(path: string, own: Collector, given: Collector): readonly string[] {
  const { service } = own;
  const problems = (["receivers", "processors", "exporters", "extensions"] as const).flatMap(
    (kind) => {
      const used =
        kind === "extensions"
          ? (service.extensions ?? [])
          : Object.values(service.pipelines).flatMap((pipeline) => pipeline[kind]);
      const defined = Object.keys(own[kind] ?? {});
      const known = [...defined, ...Object.keys(given[kind] ?? {})];
      return [
        ...used
          .filter((name) => !known.includes(name))
          .map((name) => `uses ${name} of ${kind}, which is not defined`),
        ...defined
          .filter((name) => !used.includes(name))
          .map((name) => `defines ${name} of ${kind}, which nothing uses`),
        ...Object.entries(own[kind] ?? {}).flatMap(([name, settings]) =>
          settingProblems(kind, name, settings),
        ),
      ];
    },
  );
  const orders = Object.entries(service.pipelines).flatMap(([name, { processors }]) =>
    processors.toSorted((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)).join() === processors.join()
      ? []
      : [`${name} has its processors in another order than ${ORDER.join(", ")}`],
  );
  return [...problems, ...orders].map((problem) => `${path}: ${problem}`);
}

/** A component's name is its type, and after a slash whatever tells it from another of the type. */
function settingProblems(kind: Kind, name: string, settings: unknown): readonly string[] {
  const [type = ""] = name.split("/");
  const known = COMPONENTS[kind][type];
  if (known === undefined) return [`${type} is none of the ${kind} that are known here`];
  return Object.keys((settings ?? {}) as Section)
    .filter((setting) => !known.includes(setting))
    .map((setting) => `${name} has no setting ${setting}`);
}

function differences(own: Collector, chart: Collector): readonly string[] {
  const of = ({ processors, service }: Collector) =>
    JSON.stringify([processors?.["tail_sampling"], service.pipelines]);
  return of(own) === of(chart)
    ? []
    : [
        "ops/helm/otel-collector-values.yaml: samples or leads otherwise than ops/otel/collector.yml",
      ];
}
