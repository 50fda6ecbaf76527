import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../../fakes/fettle.ts";
import { startAlertmanager, type Alertmanager } from "../../servers/alertmanager.ts";

/** Our answers, and what Alertmanager makes of them: `again` within one flush, or `final` for it. */
const ANSWERS: readonly (readonly [answer: string, "again" | "final"])[] = [
  ["200", "final"],
  ["202", "final"],
  ["400", "final"],
  ["401", "final"],
  ["403", "final"],
  ["404", "final"],
  ["408", "final"],
  ["413", "final"],
  ["415", "final"],
  ["429", "final"],
  ["500", "again"],
  ["503", "again"],
  ["reset", "again"],
];

const counts = new Map<string, number>();
let receiver: Server;
let alertmanager: Alertmanager;

beforeAll(async () => {
  receiver = createServer((request, response) => {
    const answer = request.url?.slice(1) ?? "";
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
    if (answer === "reset") request.socket.destroy();
    else request.resume().on("end", () => response.writeHead(Number(answer)).end());
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const { port } = receiver.address() as AddressInfo;
  const names = ANSWERS.map(([answer]) => answer);
  const receivers = names.map((name) => ({
    name,
    webhook_configs: [{ url: `http://127.0.0.1:${port}/${name}` }],
  }));
  const routes = names.map((name) => ({ receiver: name, matchers: [`answer="${name}"`] }));
  const timing = { group_wait: "0s", group_interval: "1h", repeat_interval: "2h" };
  alertmanager = await startAlertmanager({
    config: JSON.stringify({ route: { receiver: "200", ...timing, routes }, receivers }),
  });
});
afterAll(async () => {
  await alertmanager.stop();
  receiver.closeAllConnections();
  receiver.close();
});

test("Alertmanager repeats on 5xx and broken connections only: every 4xx is its last word", async () => {
  await fetch(`${alertmanager.url}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(ANSWERS.map(([answer]) => ({ labels: { alertname: "A", answer } }))),
  });

  const repeated = ANSWERS.filter(([, then]) => then === "again").map(([answer]) => answer);
  await waitUntil("three attempts of those that are repeated", async () =>
    repeated.every((answer) => (counts.get(answer) ?? 0) >= 3),
  );

  const told = ANSWERS.map(([answer]) => [
    answer,
    (counts.get(answer) ?? 0) > 1 ? "again" : "final",
  ]);
  expect(told).toEqual(ANSWERS);
  expect(ANSWERS.every(([answer]) => counts.has(answer))).toBe(true);
});
