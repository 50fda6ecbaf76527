import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { check, copySources } from "./given-copy.ts";

/** One mistake of each kind that the checks are for. */
const MISTAKES = [
  [
    "a threshold that its unit test does not know",
    "ops/prometheus/rules/cost.yml",
    "> 1000",
    "> 2000",
    /CostSpikeCluster/,
  ],
  [
    "an alert that no page explains",
    "docs/operations.md",
    "### BackendDown",
    "### Backend",
    /BackendDown has no heading/,
  ],
  [
    "an alert without a severity",
    "ops/prometheus/rules/exporter.yml",
    "severity: warning",
    "severity: mild",
    /AuditExportOverdue has no known severity/,
  ],
  [
    "a configuration that amtool refuses",
    "ops/alertmanager/alertmanager.yml",
    "group_wait: 30s",
    "group_wait: 30 parsecs",
    /not a valid duration/,
  ],
  [
    "a dashboard that was edited by hand",
    "ops/grafana/dashboards/slos.json",
    "Objective",
    "Subjective",
    /slos\.json is not what make generate writes/,
  ],
  [
    "a field that Kubernetes does not have",
    "ops/kubernetes/base/detector.yaml",
    "  replicas: 2",
    "  replicsa: 2",
    /unknown field \.spec\.replicsa/,
  ],
  [
    "a value of the wrong type",
    "ops/kubernetes/base/hypervisor.yaml",
    "revisionHistoryLimit: 5",
    "revisionHistoryLimit: few",
    /revisionHistoryLimit must be integer/,
  ],
  [
    "a root that can be written to",
    "ops/kubernetes/base/exporter.yaml",
    "readOnlyRootFilesystem: true",
    "readOnlyRootFilesystem: false",
    /Deployment runbooks\/exporter lets exporter write to its root/,
  ],
  [
    "a work folder that is a mount point",
    "ops/kubernetes/base/exporter.yaml",
    'AUDIT_WORK_DIR, value: "/work/fettle"',
    'AUDIT_WORK_DIR, value: "/work"',
    /Deployment runbooks\/exporter works in \/work, a mount point/,
  ],
  [
    "a variable that no service reads",
    "ops/kubernetes/base/runbooks-receiver.yaml",
    "name: RUNBOOKS_HOST,",
    "name: RUNBOOK_HOST,",
    /sets RUNBOOK_HOST, which no service reads/,
  ],
  [
    "a patch of what is not there",
    "ops/kubernetes/overlays/small/without-budgets.yaml",
    "name: detector",
    "name: detectr",
    /nothing is called PodDisruptionBudget runbooks\/detectr/,
  ],
  [
    "an image without a version",
    "docker-compose.yml",
    "prom/prometheus:v3.8.0",
    "prom/prometheus:latest",
    /prometheus has no fixed version/,
  ],
  [
    "a service that waits for nobody",
    "docker-compose.yml",
    "redis: { condition: service_healthy }",
    "rediss: { condition: service_healthy }",
    /waits for rediss, which is not there/,
  ],
  [
    "a workflow that GitHub refuses",
    ".github/workflows/ci.yml",
    "runs-on:",
    "runs-onn:",
    /ci\.yml: .*runs-onn/,
  ],
  [
    "a workflow whose make target is gone",
    ".github/workflows/dr-drill.yml",
    "          make dr-drill",
    "          make dr-dril",
    /make has no target dr-dril/,
  ],
  [
    "a key that is there twice",
    "ops/loki/loki.yml",
    "auth_enabled: false",
    "auth_enabled: false\nauth_enabled: true",
    /loki\.yml: Map keys must be unique/,
  ],
  [
    "an expression in a workflow that GitHub's parser lets pass",
    ".github/workflows/release.yml",
    "${{ github.repository }}",
    "${{ github.repositori }}",
    /release\.yml: \d+:\d+: property "repositori" is not defined/,
  ],
  [
    "a variable of a workflow that nothing reads",
    ".github/workflows/dr-drill.yml",
    "DRILL_REPORT_URL: $",
    "DRIL_REPORT_URL: $",
    /dr-drill\.yml: sets DRIL_REPORT_URL, which nothing reads/,
  ],
  [
    "a secret that nobody is told to set",
    ".github/workflows/failover.yml",
    "secrets.FAILOVER_KUBECONFIG",
    "secrets.FAILOVER_CONFIG",
    /failover\.yml: docs\/operations\.md does not say that it needs FAILOVER_CONFIG/,
  ],
  [
    "a container without what its command needs",
    "ops/kubernetes/components/backup-cronjob/cronjob.yaml",
    "name: AIOPS_DATABASE_URL,",
    "name: AUDIT_PGP_COMMENT,",
    /production: backup does not set AIOPS_DATABASE_URL, without which fettle backup/,
  ],
  [
    "a call that no network policy lets out",
    "ops/kubernetes/base/network.yaml",
    "port: 6379",
    "port: 6380",
    /no network policy lets runbooks-executor out to Redis \(port 6379\)/,
  ],
  [
    "a variable that names a place of which the page says nothing",
    "docs/operations.md",
    "`LOKI_URL`",
    "`LOKI_URI`",
    /nobody says whom hypervisor calls by LOKI_URL/,
  ],
  [
    "an address at which nobody listens",
    "ops/prometheus/prometheus.yml",
    "tempo:3200",
    "tempo:3100",
    /prometheus\.yml: tempo does not listen on 3100/,
  ],
  [
    "an address of nobody",
    "ops/grafana/provisioning/datasources/fettle.yml",
    "http://loki:3100",
    "http://lokki:3100",
    /fettle\.yml: there is no service lokki/,
  ],
  [
    "a pipeline with a part that is not defined",
    "ops/otel/collector.yml",
    "exporters: [otlp/tempo],",
    "exporters: [otlp/temp],",
    /collector\.yml: uses otlp\/temp of exporters, which is not defined[\s\S]*defines otlp\/tempo of exporters, which nothing uses/,
  ],
  [
    "a setting that a part of the collector does not have",
    "ops/otel/collector.yml",
    "decision_wait: 10s",
    "decision_weight: 10s",
    /collector\.yml: tail_sampling has no setting decision_weight/,
  ],
  [
    "a component of Alloy that leads to nobody",
    "ops/alloy/config.alloy",
    "loki.process.structured.receiver",
    "loki.process.structure.receiver",
    /config\.alloy: loki\.source\.docker\.containers refers to loki\.process\.structure\.receiver, which is not there[\s\S]*loki\.process\.structured leads nowhere/,
  ],
  [
    "a text that is none of Alloy's language",
    "ops/helm/alloy-values.yaml",
    'role = "pod"',
    'role = = "pod"',
    /alloy-values\.yaml: line 2: = where a name should be/,
  ],
  [
    "a query that Loki could not read",
    "ops/loki/rules/fake/alerts.yml",
    "| json |",
    "| jsn |",
    /TooManyErrors: no LogQL from character \d+ on/,
  ],
  [
    "a setting that Tempo does not have",
    "ops/tempo/tempo.yml",
    "block_retention: 168h",
    "block_retentoin: 168h",
    /tempo\.yml: [\s\S]*block_retentoin/,
  ],
  [
    "logs that are kept longer in one place than in another",
    "ops/helm/loki-values.yaml",
    "retention_period: 168h",
    "retention_period: 336h",
    /logs and traces are kept for (168h, )?336h, 168h/,
  ],
  [
    "a rule of Falco's with a word that nobody defines",
    "ops/falco/fettle-rules.yaml",
    "condition: spawned_process and container",
    "condition: spawned_proces and container",
    /Shell in a pod of Fettle: nothing is called spawned_proces/,
  ],
  [
    "a rule of Falco's that rings about a token that we gave",
    "ops/falco/fettle-rules.yaml",
    'in ("runbooks-executor", "hypervisor")',
    'in ("runbooks-executor")',
    /rings about the token that hypervisor was given/,
  ],
  [
    "a rule of Falco's that rings about ourselves",
    "ops/falco/fettle-rules.yaml",
    "and not fd.name startswith /backups ",
    "",
    /rings about our own writes to \/backups/,
  ],
] as const;

let copy: string;
let report: Awaited<ReturnType<typeof check>>;

beforeAll(async () => {
  copy = await copySources();
  for (const mistake of MISTAKES) await plant(mistake);
  report = await check(copy, "check:ops");
}, 120_000);
afterAll(async () => rm(copy, { recursive: true, force: true }));

test.each(MISTAKES)("the check of ops/ finds %s", (_name, _path, _right, _wrong, words) => {
  expect(report.code).not.toBe(0);
  expect(report.output).toMatch(words);
});

async function plant([, path, right, wrong]: (typeof MISTAKES)[number]): Promise<void> {
  const file = join(copy, path);
  const text = await readFile(file, "utf8");
  if (!text.includes(right)) throw new Error(`${path} has no ${right}`);
  await writeFile(file, text.replace(right, wrong));
}
