import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "@jest/globals";
import { parse, parseAllDocuments } from "yaml";
import { idOf, kustomizations, renderKustomization } from "../../ops/kubernetes/render.ts";
import { fetchPackages } from "../servers/trixie.ts";

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 1 << 24;
const FETCH_MS = 300_000;

/** As in a `.env`; the names are those that docker-compose.yml asks for. */
const SECRETS = [
  "POSTGRES_PASSWORD",
  "AIOPS_WEBHOOK_SECRET",
  "RUNBOOK_WEBHOOK_TOKEN",
  "GRAFANA_ADMIN_PASSWORD",
  "GRAFANA_DB_PASSWORD",
];

let tree: string;
beforeAll(async () => {
  tree = await fetchPackages("delivery", [
    "kubectl",
    "docker-compose",
    "prometheus-alertmanager", // Debian 12's knows no `timeout` of a webhook
  ]);
}, FETCH_MS);

test.each(kustomizations)("kubectl makes of %s what our checks look at", async (folder) => {
  const { stdout } = await run(join(tree, "usr/bin/kubectl"), ["kustomize", folder], {
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  const theirs = [parseAllDocuments(stdout)].flat().map((document) => document.toJS() as never);

  expect(byId(await renderKustomization(folder))).toEqual(byId(theirs));
});

test("docker compose reads docker-compose.yml as it is meant, and wants its secrets", async () => {
  const services = async (env: Readonly<Record<string, string>>) => {
    const args = ["--env-file", "/dev/null", "--profile", "*", "config"];
    const program = join(tree, "usr/libexec/docker/cli-plugins/docker-compose");
    const { stdout } = await run(program, args, { env, maxBuffer: OUTPUT_BYTES_MAX });
    return (parse(stdout) as { services: Readonly<Record<string, object>> }).services;
  };
  const env = Object.fromEntries(SECRETS.map((name) => [name, `of-${name}`]));

  expect(await services(env)).toMatchObject({
    runbooks: {
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      environment: {
        AIOPS_DATABASE_URL: "postgres://fettle:of-POSTGRES_PASSWORD@db:5432/fettle",
        RUNBOOK_WEBHOOK_TOKEN: "of-RUNBOOK_WEBHOOK_TOKEN",
      },
      depends_on: { migrate: { condition: "service_completed_successfully" } },
    },
  });
  for (const name of SECRETS) {
    const others = SECRETS.filter((other) => other !== name);
    const left = Object.fromEntries(others.map((other) => [other, "x"]));
    await expect(services(left)).rejects.toThrow(`set ${name} in .env`);
  }
});

test("Alertmanager 0.28 takes each of its configurations", async () => {
  const folder = "ops/alertmanager";
  const files = (await readdir(folder)).filter((name) => name.endsWith(".yml"));

  expect(files.length).toBeGreaterThan(2);
  for (const file of files)
    await expect(
      run(join(tree, "usr/bin/amtool"), ["check-config", join(folder, file)]),
    ).resolves.toBeDefined();
});

function byId(manifests: readonly Parameters<typeof idOf>[0][]): object {
  return Object.fromEntries(manifests.map((manifest) => [idOf(manifest), manifest]));
}
