import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";

const FOLDER = "ops/prometheus/rules";

/** The rule files as the Prometheus operator's objects, one for each file. */
export async function renderPrometheusRules(): Promise<string> {
  const files = (await readdir(FOLDER)).sort();
  const objects = await Promise.all(
    files.map(async (file) => ({
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PrometheusRule",
      metadata: { name: `fettle-${file.replace(".yml", "")}` },
      spec: parse(await readFile(join(FOLDER, file), "utf8")) as object,
    })),
  );
  const note = "# Written by `make generate` from ops/prometheus/rules.\n";
  return note + objects.map((object) => stringify(object, { lineWidth: 0 })).join("---\n");
}
