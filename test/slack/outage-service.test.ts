import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { frame, post, type GivenService } from "../runbooks/given-service.ts";
import { givenSlackService } from "./given-clicks.ts";

let slack: FakeSlack;

beforeAll(async () => {
  slack = await startSlack();
});
afterAll(async () => slack.stop());

async function numberOf({ database }: GivenService, from: string): Promise<number> {
  const { rows } = await database.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${from}`);
  return rows[0]?.n ?? 0;
}

async function oldestAge({ url }: GivenService): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const line = /^runbooks_outbox_oldest_age_seconds\{[^}]*channel="slack"[^}]*\} (\S+)$/m;
  return Number(line.exec(metrics)?.[1] ?? 0);
}

test.each<[string, () => string]>([
  ["answers 500", () => slack.apiUrl],
  ["is not there", () => "http://127.0.0.1:1/api/"],
  ["has no address any more (DNS)", () => "http://slack.invalid/api/"],
])(
  "while Slack %s runs wait, the service is healthy and ready, and the age is a metric",
  async (_name, apiUrl) => {
    slack.broken.set("chat.postMessage", { status: 500 });
    const service = await givenSlackService({ token: slack.token, apiUrl: apiUrl() });
    try {
      expect((await post(service, frame({ app: "app-1" }))).status).toBe(202);
      await waitUntil("the request", async () => {
        return (await numberOf(service, "runs WHERE state = 'approval_pending'")) === 1;
      });
      await waitUntil("an attempt", async () => {
        return (await numberOf(service, "runbooks_outbox WHERE attempts > 0")) > 0;
      });
      await waitUntil("the age", async () => (await oldestAge(service)) > 0);

      expect((await fetch(`${service.url}/ready`)).status).toBe(200);
      expect(await (await fetch(`${service.url}/health`)).json()).toMatchObject({
        status: "healthy",
      });
      expect(await numberOf(service, "runs WHERE state = 'approval_pending'")).toBe(1);
      expect(
        await numberOf(service, "runbooks_outbox WHERE result IN ('refused', 'gave_up')"),
      ).toBe(0); // not lost
      expect(service.kubernetes.mutations()).toEqual([]);
    } finally {
      await service.stop();
      slack.broken.clear();
    }
  },
);
