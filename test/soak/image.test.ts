import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { waitUntil } from "../fakes/fettle.ts";
import { createEmptyDatabase, type TestDatabase } from "../servers/postgres.ts";
import { ownPort } from "../servers/unprivileged.ts";
import { startBuilder, type Builder } from "./given-builder.ts";

const BUILD_MS = 900_000;
const TARGET = "app";
const IMAGE = "fettle:of-the-test";

interface Service {
  readonly command: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly read_only?: boolean;
  readonly healthcheck?: { readonly test: readonly string[] };
}

/** Where each listens by itself, and by which variable that is changed. */
const SERVICES = [
  { name: "detector", port: 9464, variable: "DETECTOR_PORT" },
  { name: "runbooks", port: 8080, variable: "RUNBOOKS_PORT" },
  { name: "exporter", port: 9465, variable: "EXPORTER_PORT" },
  { name: "hypervisor", port: 8443, variable: "HYPERVISOR_PORT" },
] as const;

let builder: Builder;
let database: TestDatabase;
let compose: { readonly services: Readonly<Record<string, Service>> };
beforeAll(async () => {
  compose = parse(await readFile("docker-compose.yml", "utf8"), { merge: true }) as typeof compose;
  database = await createEmptyDatabase();
  builder = await startBuilder();
  await builder.docker(
    ...["build", "--quiet", "--network=host", "-f", "ops/docker/Dockerfile"],
    ...["--target", TARGET, "-t", IMAGE, "."],
  );
}, BUILD_MS);
afterAll(async () => {
  await builder.stop();
  await database.drop();
});

test("the image's own command migrates a database", async () => {
  const { command = [] } = compose.services["migrate"] ?? {};
  const said = await builder.docker("run", "--rm", ...locked("migrate"), IMAGE, ...command);

  expect(said).toMatch(/0001_runbooks/);
});

test.each(SERVICES)(
  "$name becomes healthy with what docker-compose.yml leaves it, and stops in order",
  async ({ name, port, variable }) => {
    const own = await ownPort();
    const { command, healthcheck } = compose.services[name] ?? { command: [] };
    const check = (healthcheck?.test ?? [])
      .slice(1)
      .map((word) => word.replace(`${port}`, `${own}`));
    await builder.docker(
      ...["run", "--detach", "--name", name, ...locked(name)],
      ...["--env", `${variable}=${own}`, "--env", "AUDIT_EXPORT_DIR=/exports"],
      ...["--env", "AUDIT_ENCRYPTION=off", "--volume", "exports:/exports"],
      ...[IMAGE, ...command],
    );
    await waitUntil(`${name} to be healthy`, async () =>
      builder.docker("exec", name, ...check).then(
        () => true,
        () => false,
      ),
    );

    expect((await fetch(`http://127.0.0.1:${own}/health`)).status).toBe(200);
    expect(await builder.docker("exec", name, "id", "-u")).toBe("65532\n");
    await expect(builder.docker("exec", name, "touch", "/app/x")).rejects.toThrow("Read-only");
    await builder.docker("stop", "--time", "30", name);
    expect(await builder.docker("inspect", "--format", "{{.State.ExitCode}}", name)).toBe("0\n");
  },
  120_000,
);

test("an export of the image lands in a volume that nobody was given rights to", async () => {
  const said = await builder.docker(
    ...["run", "--rm", ...locked("exporter"), "--env", "AUDIT_EXPORT_DIR=/exports"],
    ...["--env", "AUDIT_ENCRYPTION=off", "--volume", "new:/exports", IMAGE, "export"],
  );

  expect(said).toContain("stored at /exports/audit-");
});

/** The options of `docker run` that are the same as the service's in docker-compose.yml, on this machine's network. */
function locked(name: string): readonly string[] {
  const {
    read_only: readOnly,
    tmpfs = [],
    cap_drop: dropped = [],
    security_opt: rules = [],
  } = compose.services[name] ?? {};
  return [
    "--network=host",
    ...["--env", `AIOPS_DATABASE_URL=${database.url}`, "--env", "PROM_URL=http://127.0.0.1:9"],
    ...(readOnly === true ? ["--read-only"] : []),
    ...tmpfs.flatMap((path) => ["--tmpfs", path]),
    ...dropped.flatMap((right) => ["--cap-drop", right]),
    ...rules.flatMap((rule) => ["--security-opt", rule]),
  ];
}
