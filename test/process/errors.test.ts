import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startFettle, waitUntil } from "../fakes/fettle.ts";
import { canariesIn } from "../fault/canaries.ts";
import { brokenInvariants } from "../fault/invariants.ts";
import { measure } from "../fault/measure.ts";
import { givenSurroundings, type Surroundings } from "../fault/surroundings.ts";

let around: Surroundings;
beforeAll(async () => {
  around = await givenSurroundings();
});
afterAll(async () => around.stop());

/** A service in which something of somebody else goes wrong once it is ready. */
async function startWith(fault: string) {
  const secret = around.env["RUNBOOK_WEBHOOK_TOKEN"] ?? "";
  const code = `process.once("SIGUSR2", () => { ${fault.replace("SECRET", secret)} });`;
  const isService = 'process.argv[1]?.endsWith("cli/main.ts")'; // bin/fettle asks Node for its version first
  const service = await startFettle("runbooks", "RUNBOOKS_PORT", {
    ...around.env,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(`if (${isService}) ${code}`)}`,
  });
  process.kill(service.pid, "SIGUSR2");
  return service;
}

test("after an error that nobody has handled the service ends in order, with 1", async () => {
  const service = await startWith('Promise.reject(new Error("nobody hears SECRET"));');

  expect(await service.exited).toBe(1);
  expect(service.output()).toContain('"unhandled rejection"');
  expect(service.output()).toContain("nobody hears [redacted]");
  expect(service.output()).toContain('"stopped"');
  expect(canariesIn(service.output())).toEqual([]);
  const { rowCount } = await around.database.query("SELECT 1 FROM instances");
  expect(rowCount).toBe(0);
});

test("after an exception that nobody has caught the service ends at once, with 1 and a line in its log", async () => {
  const service = await startWith('throw new Error("nobody catches SECRET");');

  expect(await service.exited).toBe(1);
  expect(service.output()).toContain('"uncaught exception"');
  expect(service.output()).not.toContain('"stopped"');
  expect(canariesIn(service.output())).toEqual([]);
});

test("connections that the database closes are logged and replaced", async () => {
  const service = await startFettle("runbooks", "RUNBOOKS_PORT", around.env);
  const before = await measure(service.url);
  let ended = false;
  void service.exited.then(() => (ended = true));
  for (let round = 0; round < 3; round += 1) {
    await around.database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'fettle%' AND datname = current_database()",
    );
    await waitUntil("readiness", async () => (await fetch(`${service.url}/ready`)).ok);
  }

  await around.deliver(service.url, "firing");
  await waitUntil("the question", async () => {
    return (await around.stateOf()) === "approval_pending";
  });
  expect(service.output()).toContain('"idle database connection lost"');
  expect(ended).toBe(false);
  const processes = [{ url: service.url, before }];
  expect(await brokenInvariants({ ...around, output: service.output, processes })).toEqual([]);
  await service.stop();
  expect(await service.exited).toBe(0);
});
