import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { raceClicks } from "../../approve/given-race.ts";
import { findApproval } from "../../../runbooks/approval/answer.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { sender } from "../../fakes/sender.ts";
import {
  ACTING,
  count,
  frameOf,
  givenProcesses,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../given-processes.ts";

const TIMES = 100;

let world: GivenProcesses;

beforeAll(async () => {
  world = await givenProcesses({ replicas: 2, apps: ["checkout"], env: ACTING });
});
afterAll(async () => world.stop());

test("the same delivery a hundred times at the same moment on two replicas is one run, one slot and one effect", async () => {
  const { database, services, kubernetes } = world;
  const body = frameOf("same", 5, { app: "checkout" });
  const everybody = sender();

  const answers = await Promise.all(
    Array.from({ length: TIMES }, async (_, at) =>
      everybody.alert(`${services[at % 2]?.url ?? ""}/alertmanager`, body, PROCESS_TOKEN),
    ),
  );
  everybody.close();

  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: TIMES }, () => 202));
  const { rows } = await database.query("SELECT deliveries, alerts FROM inbox");
  expect(rows).toEqual([{ deliveries: TIMES, alerts: 5 }]);
  await waitUntil("the request", async () => {
    return (await count(database, "runs WHERE state = 'approval_pending'")) === 1;
  });
  const { rows: asked } = await database.query<{ id: string }>("SELECT id FROM approvals");
  const approval = await findApproval(asked[0]?.id ?? "", database);
  if (approval === undefined) throw new Error("nobody is asked");
  await raceClicks(world, { approvals: [approval], clicks: 2, verdictOf: () => "approve" });
  await waitUntil("the action", async () => {
    return (await count(database, "runs WHERE state = 'verifying'")) === 1;
  });

  expect(await count(database, "runs")).toBe(1);
  expect(await count(database, "episodes")).toBe(5);
  expect(await count(database, "breaker_slots WHERE app_key LIKE '%deployment%'")).toBe(1);
  expect(kubernetes.mutations()).toHaveLength(1);
});
