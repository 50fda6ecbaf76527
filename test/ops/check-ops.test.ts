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
    "ops/kubernetes/overlays/production/config.yaml",
    "name: fettle-config",
    "name: fettle-confg",
    /nothing is called ConfigMap runbooks\/fettle-confg/,
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
    "run: make dr-drill",
    "run: make dr-dril",
    /make has no target dr-dril/,
  ],
  [
    "a key that is there twice",
    "ops/loki/loki.yml",
    "auth_enabled: false",
    "auth_enabled: false\nauth_enabled: true",
    /loki\.yml: Map keys must be unique/,
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
