import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";

const memoryRing = z.strictObject({ kvstore: z.strictObject({ store: z.literal("inmemory") }) });
/** Structured metadata and deletions need the newest schema; Loki's indexes are by days. */
const schemaConfig = z.strictObject({
  configs: z
    .array(
      z.strictObject({
        from: z.iso.date(),
        store: z.literal("tsdb"),
        object_store: z.literal("filesystem"),
        schema: z.literal("v13"),
        index: z.strictObject({ prefix: z.string(), period: z.literal("24h") }),
      }),
    )
    .min(1),
});
const days = z
  .string()
  .regex(/^\d+h$/)
  .refine((text) => parseInt(text, 10) % 24 === 0, {
    error: "must be whole days, in hours",
  });
/** Without both nothing is ever deleted. */
const deletes = {
  retention_enabled: z.literal(true),
  delete_request_store: z.literal("filesystem"),
};

/** Loki's and Tempo's settings that are used; looked up in their references before one is added. */
const loki = z.strictObject({
  auth_enabled: z.literal(false),
  server: z.strictObject({ http_listen_port: z.int() }),
  common: z.strictObject({
    path_prefix: z.string(),
    replication_factor: z.literal(1),
    ring: memoryRing,
    storage: z.strictObject({
      filesystem: z.strictObject({ chunks_directory: z.string(), rules_directory: z.string() }),
    }),
  }),
  schema_config: schemaConfig,
  limits_config: z.strictObject({
    retention_period: days,
    max_query_length: z.string(),
    max_entries_limit_per_query: z.int(),
    allow_structured_metadata: z.boolean(),
  }),
  compactor: z.strictObject({ working_directory: z.string(), ...deletes }),
  ruler: z.strictObject({
    alertmanager_url: z.url(),
    enable_alertmanager_v2: z.literal(true),
    storage: z.strictObject({
      type: z.literal("local"),
      local: z.strictObject({ directory: z.string() }),
    }),
    rule_path: z.string(),
    ring: memoryRing,
  }),
});
const endpoint = z.strictObject({ endpoint: z.string() });
const tempo = z.strictObject({
  server: z.strictObject({ http_listen_port: z.int() }),
  distributor: z.strictObject({
    receivers: z.strictObject({
      otlp: z.strictObject({ protocols: z.strictObject({ grpc: endpoint, http: endpoint }) }),
    }),
  }),
  storage: z.strictObject({
    trace: z.strictObject({
      backend: z.literal("local"),
      local: z.strictObject({ path: z.string() }),
      wal: z.strictObject({ path: z.string() }),
    }),
  }),
  compactor: z.strictObject({ compaction: z.strictObject({ block_retention: days }) }),
});
/** Of the charts' values those that say the same. */
const lokiValues = z.object({
  loki: z.object({
    schemaConfig,
    limits_config: z.object({ retention_period: days, max_entries_limit_per_query: z.int() }),
    compactor: z.object(deletes),
    rulerConfig: z.object({
      storage: z.object({ type: z.literal("local"), local: z.object({ directory: z.string() }) }),
      rule_path: z.string(),
    }),
  }),
  sidecar: z.object({
    rules: z.object({
      enabled: z.literal(true),
      label: z.literal("loki_rule"),
      labelValue: z.literal("1"),
      folder: z.string(),
    }),
  }),
});
const tempoValues = z.object({ tempo: z.object({ retention: days }) });

/** The chart's sidecar puts rules where the ruler looks for those of its one tenant. */
function rulesOf({
  loki: { rulerConfig },
  sidecar,
}: z.infer<typeof lokiValues>): readonly string[] {
  const folder = `${rulerConfig.storage.local.directory}/fake`;
  return sidecar.rules.folder === folder
    ? []
    : [`ops/helm/loki-values.yaml: the ruler looks for its tenant in ${folder}`];
}

/** The stores of logs and traces: their settings are known, they keep as long everywhere, and Loki finds its rules. */
export async function checkStores(): Promise<readonly string[]> {
  const problems: string[] = [];
  const read = async <T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    // What is there twice is told by the check of YAML.
    const content: unknown = parse(await readFile(path, "utf8"), { uniqueKeys: false });
    const result = schema.safeParse(content);
    if (!result.success) problems.push(`${path}: ${z.prettifyError(result.error)}`);
    return result.data;
  };
  const own = await read("ops/loki/loki.yml", loki);
  const chart = await read("ops/helm/loki-values.yaml", lokiValues);
  const traces = await read("ops/tempo/tempo.yml", tempo);
  const traceChart = await read("ops/helm/tempo-values.yaml", tempoValues);
  const kept = [
    own?.limits_config.retention_period,
    chart?.loki.limits_config.retention_period,
    traces?.compactor.compaction.block_retention,
    traceChart?.tempo.retention,
  ].filter((one) => one !== undefined);
  if (new Set(kept).size > 1) problems.push(`logs and traces are kept for ${kept.join(", ")}`);
  const limits = [own?.limits_config, chart?.loki.limits_config]
    .filter((limit) => limit !== undefined)
    .map((limit) => limit.max_entries_limit_per_query);
  if (new Set(limits).size > 1) problems.push(`Loki gives ${limits.join(" or ")} lines at most`);
  if (chart !== undefined) problems.push(...rulesOf(chart));
  if (!existsSync("ops/loki/rules/fake"))
    problems.push("ops/loki/rules: the tenant of a Loki without tenants is called fake");
  return problems;
}
