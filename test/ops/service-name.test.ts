import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { serviceName } from "../../lib/service-name.ts";
import { renderKustomization } from "../../ops/kubernetes/render.ts";
import { startOtlpCollector } from "../fakes/otlp.ts";

interface Deployment {
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: {
      readonly containers: readonly { readonly image: string; readonly args?: readonly string[] }[];
    };
  };
}

interface DataSources {
  readonly datasources: readonly {
    readonly type: string;
    readonly jsonData: Readonly<
      Record<
        string,
        { readonly tags?: readonly { readonly key: string; readonly value: string }[] }
      >
    >;
  }[];
}

test("a trace is of the command, and of the runbooks service's role however that is said", () => {
  expect(serviceName(["detector"], {})).toBe("detector");
  expect(serviceName(["runbooks"], {})).toBe("runbooks");
  expect(serviceName(["runbooks", "--role", "receiver"], {})).toBe("runbooks-receiver");
  expect(serviceName(["runbooks", "--role=executor"], {})).toBe("runbooks-executor");
  expect(serviceName(["runbooks"], { RUNBOOKS_ROLE: "executor" })).toBe("runbooks-executor");
  expect(serviceName(["runbooks", "--role", "both"], {})).toBe("runbooks");
  expect(serviceName(["--version"], {})).toBe("fettle");
});

test("a collector that is away fails no command, and no stop in order", async () => {
  const folder = await mkdtemp(join(tmpdir(), "otel-"));
  try {
    const script = join(folder, "traced.ts");
    await writeFile(
      script,
      `import { inSpan } from "${resolve("lib/tracing.ts")}";
      await inSpan("work", {}, async () => Promise.resolve());
      if (process.argv[2] === "stays") {
        const stays = setInterval(() => undefined, 1_000);
        process.once("SIGTERM", () => setTimeout(() => {
          console.log("stopped in order");
          clearInterval(stays);
        }, 500));
        process.kill(process.pid, "SIGTERM");
      }`,
    );
    const run = async (...args: readonly string[]) =>
      promisify(execFile)(
        process.execPath,
        ["--import", resolve("lib/otel.ts"), script, ...args],
        { env: { PATH: process.env["PATH"], OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" } }, // nobody's
      );

    await expect(run()).resolves.toBeDefined();
    await expect(run("stays")).resolves.toMatchObject({ stdout: "stopped in order\n" });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the collector hears this name, unless the environment has another", async () => {
  const collector = await startOtlpCollector();
  const folder = await mkdtemp(join(tmpdir(), "otel-"));
  try {
    const script = join(folder, "traced.ts");
    const work = 'await inSpan("work", {}, async () => Promise.resolve());';
    await writeFile(script, `import { inSpan } from "${resolve("lib/tracing.ts")}";\n${work}\n`);
    const run = async (env: Readonly<Record<string, string>>) =>
      promisify(execFile)(
        process.execPath,
        ["--import", resolve("lib/otel.ts"), script, "runbooks", "--role", "receiver"],
        { env: { PATH: process.env["PATH"], OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env } },
      );

    await run({ OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test" });
    await run({ OTEL_RESOURCE_ATTRIBUTES: "service.name=shop" });
    await run({ OTEL_SERVICE_NAME: "other" });

    expect(collector.resources.map((all) => [...all].sort())).toEqual([
      ["deployment.environment=test", "service.name=runbooks-receiver"],
      ["service.name=shop"],
      ["service.name=other"],
    ]);
  } finally {
    await collector.stop();
    await rm(folder, { recursive: true });
  }
});

test("in containers a trace's service is the log's label and Prometheus' job", async () => {
  const { services } = parse(await readFile("docker-compose.yml", "utf8"), { merge: true }) as {
    services: Readonly<Record<string, { image?: string; command?: string[]; restart?: string }>>;
  };
  const scraped = parse(await readFile("ops/prometheus/prometheus.yml", "utf8")) as {
    scrape_configs: readonly { job_name: string }[];
  };
  const jobs = scraped.scrape_configs.map(({ job_name }) => job_name);
  const ours = Object.entries(services).filter(
    ([, { image = "", restart }]) => image.startsWith("fettle:") && restart !== "no",
  );

  const names = ours.map(([, { command = [] }]) => serviceName(command, {}));
  expect(names).toEqual(ours.map(([name]) => name));
  expect(names).toHaveLength(4);
  expect(names.filter((name) => !jobs.includes(name))).toEqual([]);
});

test("in Kubernetes it is the label of the pods, which is the log's and, by its monitor, Prometheus' job", async () => {
  const manifests = await renderKustomization("ops/kubernetes/base");
  const named = manifests
    .filter(({ kind }) => kind === "Deployment")
    .map(({ spec }) => (spec as Deployment).template)
    .map(({ metadata, spec }) => [
      serviceName(spec.containers[0]?.args ?? [], {}),
      metadata.labels["app.kubernetes.io/name"],
    ]);

  expect(named.length).toBeGreaterThan(4);
  for (const [name, label] of named) expect(name).toBe(label);
});

test("Grafana looks for a trace's lines and metrics by these labels", async () => {
  const text = await readFile("ops/grafana/provisioning/datasources/fettle.yml", "utf8");
  const { datasources } = parse(text) as DataSources;
  const tempo = datasources.find(({ type }) => type === "tempo");
  const monitors = await readFile("ops/kubernetes/base/monitors.yaml", "utf8");

  expect(tempo?.jsonData["tracesToLogsV2"]?.tags).toEqual([
    { key: "service.name", value: "service" },
  ]);
  expect(tempo?.jsonData["tracesToMetrics"]?.tags).toEqual([{ key: "service.name", value: "job" }]);
  for (const monitor of monitors.split("---\n"))
    expect(monitor).toContain("jobLabel: app.kubernetes.io/name");
});
