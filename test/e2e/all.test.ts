import { access, chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { ownPort } from "../servers/unprivileged.ts";

let folder: string;
let all: FettleProcess | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "all-"));
  await chmod(folder, 0o755); // as a checkout is: the database's user must get in
});

afterAll(async () => {
  await all?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("fettle all runs the four services with nothing installed or configured, and ends in order", async () => {
  const [detector, runbooks, exporter] = [await ownPort(), await ownPort(), await ownPort()];
  const env = {
    FETTLE_FOLDER: folder,
    DETECTOR_PORT: String(detector),
    RUNBOOKS_PORT: String(runbooks),
    EXPORTER_PORT: String(exporter),
  };
  all = await startFettle("all", "HYPERVISOR_PORT", env);

  const urls = [
    all.url,
    ...[detector, runbooks, exporter].map((port) => `http://127.0.0.1:${port}`),
  ];
  const services = await Promise.all(urls.map(serviceAt));
  expect(services).toEqual(["hypervisor", "detector", "runbooks", "exporter"]);
  expect((await stat(join(folder, "local.key"))).mode & 0o777).toBe(0o600);
  await expect(access(join(folder, "exports"))).resolves.toBeUndefined();

  expect(await runsIn(addressIn(all.output()))).toBe(0);

  await all.stop();
  expect(await all.exited).toBe(0);
  expect(all.output()).toContain('"stopped"');
  expect(all.output()).not.toContain('"level":"error"');
});

/** The embedded database's address, as the log tells it: what the other commands need. */
function addressIn(output: string): string {
  return /"address":"(postgres:[^"]+)"/.exec(output)?.[1] ?? "not told";
}

async function runsIn(address: string): Promise<number> {
  const client = new pg.Client({ connectionString: address });
  await client.connect();
  try {
    return (await client.query("SELECT id FROM runs")).rows.length;
  } finally {
    await client.end();
  }
}

/** What answers at an address, once something does: the services start one after the other. */
async function serviceAt(url: string): Promise<string> {
  let name = "";
  await waitUntil(`a service at ${url}`, async () => {
    const response = await fetch(`${url}/health`).catch(() => undefined);
    if (response === undefined) return false;
    name = ((await response.json()) as { service: string }).service;
    return true;
  });
  return name;
}
