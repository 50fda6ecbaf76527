import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { deliver } from "../fakes/alertmanager-sender.ts";
import {
  count,
  frameOf,
  givenProcesses,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../runbooks/given-processes.ts";

let world: GivenProcesses;

beforeAll(async () => {
  world = await givenProcesses();
});
afterAll(async () => world.stop());

async function send(body: string): Promise<{ status: number; detail?: string }> {
  const { answer } = await deliver(`${world.services[0].url}/alertmanager`, body, {
    authorization: `Bearer ${PROCESS_TOKEN}`,
  });
  return JSON.parse(answer) as { status: number; detail?: string };
}

/** A right notification, with something deep where anything may stand. */
function frameWith(extra: string): string {
  return frameOf("deep", 1).replace('"receiver"', `"extra":${extra},"receiver"`);
}

test.each<[string, (levels: number) => string]>([
  ["arrays", (levels) => "[".repeat(levels) + "]".repeat(levels)],
  ["objects", (levels) => '{"a":'.repeat(levels) + "1" + "}".repeat(levels)],
  ["arrays that are never closed", (levels) => "[".repeat(levels)],
])(
  "%s, 10,000 and 1,000,000 deep, are answered 400, and the process lives",
  async (_name, nest) => {
    const { pid } = world.services[0];
    for (const levels of [10_000, 1_000_000]) {
      const { status, detail } = await send(frameWith(nest(levels)));

      expect([status, detail]).toEqual([400, "body: is nested deeper than 32 levels"]);
    }

    expect((await fetch(`${world.services[0].url}/health`)).status).toBe(200);
    expect(world.services[0].pid).toBe(pid);
    expect(await count(world.database, "inbox WHERE processed_at IS NULL")).toBe(0);
  },
);

test("30 levels are taken", async () => {
  const nested = "[".repeat(30) + "]".repeat(30);

  expect(await send(frameWith(nested))).toMatchObject({ accepted: 1 });
});
