import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { deliver } from "../fakes/alertmanager-sender.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { count, frameOf, givenProcesses, PROCESS_TOKEN } from "../runbooks/given-processes.ts";
import { frame, givenService, post, type GivenService } from "../runbooks/given-service.ts";

/** Names that every object has a member of. */
const NAMES = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf"];
const REQUESTS = 300;

let service: GivenService;

beforeAll(async () => {
  service = await givenService();
});
afterAll(async () => service.stop());

const name = fc.constantFrom(...NAMES);
const poison = fc.oneof(
  name.map((key) => `"${key}"`),
  fc.tuple(name, name).map(([key, inner]) => `{"${key}":{"${inner}":"polluted"},"polluted":"yes"}`),
  name.map((key) => `[{"${key}":"polluted"}]`),
  fc.constant('"polluted"'),
);
/** A right notification, with such names as labels, annotations, values, and where nothing is expected. */
const notification = fc
  .record({ key: name, label: name, app: name, value: poison })
  .map(({ key, label, app, value }) =>
    frame({ app, labels: { metric: label, alertname: label } })
      .replace('"annotations":{', `"annotations":{"${key}":${value}`)
      .replace('"receiver"', `"${key}":${value},"receiver"`)
      .replace('"labels":{', `"labels":{"${key}":"x",`),
  );

/** What all objects share: the names of it, and that nothing of them was replaced. */
function shared(): readonly unknown[] {
  return [Object.prototype, Array.prototype, Function.prototype].flatMap((prototype) =>
    Reflect.ownKeys(prototype).map(
      (key) => Object.getOwnPropertyDescriptor(prototype, key)?.value as unknown,
    ),
  );
}

test(`${REQUESTS} notifications full of such names change nothing that objects share, and start nothing`, async () => {
  const before = shared();
  const seed = Number(process.env["FC_SEED"] ?? 20_261_121);

  const statuses = new Set<number>();
  for (const body of fc.sample(notification, { numRuns: REQUESTS, seed }))
    statuses.add((await post(service, body)).status);
  await waitUntil("all to be looked at", async () => {
    return (await count(service.database, "inbox WHERE processed_at IS NULL")) === 0;
  });

  expect(statuses).toEqual(new Set([202, 400]));
  const after = shared();
  expect(after).toHaveLength(before.length);
  expect(after.every((value, at) => value === before[at])).toBe(true);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  expect(await count(service.database, "inbox WHERE error LIKE 'TypeError%'")).toBe(0);
  expect(await count(service.database, "runs")).toBe(0);
  expect(service.kubernetes.mutations()).toEqual([]);
});

test("a label called __proto__ is kept as the label that it is", async () => {
  const body = frame().replace('"labels":{', '"labels":{"__proto__":"x","constructor":"y",');

  expect((await post(service, body)).status).toBe(202);
  await waitUntil("the alert", async () => {
    return (
      (await count(
        service.database,
        `episodes WHERE labels @> '{"constructor":"y"}' AND labels ? 'metric'`,
      )) === 1
    );
  });
});

test("the program is started without __proto__ altogether", async () => {
  const world = await givenProcesses();
  try {
    const [{ pid, url }] = world.services;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8");
    expect(command.split("\0")).toContain("--disable-proto=delete");
    const headers = { authorization: `Bearer ${PROCESS_TOKEN}` };
    const body = frameOf("proto", 1).replace('"labels":{', '"labels":{"__proto__":"x",');
    const sent = await deliver(`${url}/alertmanager`, body, headers);
    expect(sent.status).toBe(202);
  } finally {
    await world.stop();
  }
});
