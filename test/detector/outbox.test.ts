import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { connectWebhook } from "../../detector/adapters/webhook.ts";
import { Outbox } from "../../detector/outbox.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { Secret } from "../../lib/secret.ts";
import { verifySignature } from "../../lib/signature.ts";
import { anomaly } from "./given-anomaly.ts";

interface Received {
  readonly body: string;
  readonly signature: string | undefined;
  readonly timestamp: string | undefined;
}

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A receiver that answers with the given statuses in turn, 202 after that. */
async function given(statuses: number[]): Promise<{
  readonly outbox: Outbox;
  readonly received: Received[];
  readonly results: string[];
  readonly delivered: string[];
}> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      const header = (name: string): string | undefined => request.headers[name]?.toString();
      received.push({
        body,
        signature: header("x-fettle-signature"),
        timestamp: header("x-fettle-timestamp"),
      });
      response.writeHead(statuses.shift() ?? 202).end("{}");
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const results: string[] = [];
  const delivered: string[] = [];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/alertmanager`;
  const outbox = new Outbox({
    poster: connectWebhook({ url, secret: new Secret("key") }),
    metrics: { delivery: (result) => void results.push(result) },
    log: silentLog,
    clock: {
      now: () => systemClock.now(),
      sleep: async (_ms, signal) => systemClock.sleep(1, signal),
    },
    onDelivered: async (id, status) => void delivered.push(`${id} ${status}`),
  });
  outbox.start();
  cleanups.push(async () => outbox.stop());
  return { outbox, received, results, delivered };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("did not happen within 5 s");
    await systemClock.sleep(5);
  }
}

test("alerts are posted in order, signed so that the receiver's check passes", async () => {
  const { outbox, received, delivered } = await given([]);

  outbox.add(anomaly(), "firing");
  outbox.add(anomaly({ closedAt: 5, closeCause: "recovered" }), "resolved");
  await until(() => delivered.length === 2);

  expect(delivered).toEqual(["anomaly_0123 firing", "anomaly_0123 resolved"]);
  for (const { body, ...headers } of received) {
    expect(verifySignature("key", headers, body, new Date())).toBe("ok");
    expect(verifySignature("other", headers, body, new Date())).toBe("bad");
  }
});

test.each([500, 503, 401, 429])(
  "an alert that meets %i is tried until it is taken",
  async (status) => {
    const { outbox, results, received } = await given([status, status]);

    outbox.add(anomaly(), "firing");
    await until(() => results.includes("delivered"));

    expect(results).toEqual(["failed", "failed", "delivered"]);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
    expect(outbox.fault).toBeUndefined();
  },
);

test("an alert that is refused for good does not block the next one", async () => {
  const { outbox, results, delivered } = await given([400]);

  outbox.add(anomaly({ id: "poison" }), "firing");
  outbox.add(anomaly({ id: "next" }), "firing");
  await until(() => delivered.length === 1);

  expect(results).toEqual(["refused", "delivered"]);
  expect(delivered).toEqual(["next firing"]);
});

test("stopping gives up the attempt under way", async () => {
  const { outbox, delivered } = await given(Array.from({ length: 1000 }, () => 503));

  outbox.add(anomaly(), "firing");
  await until(() => outbox.fault !== undefined);
  await outbox.stop();

  expect(delivered).toEqual([]);
});
