import { afterEach, expect, test } from "@jest/globals";
import { connectAlertmanager } from "../../../detector/adapters/alertmanager.ts";
import { startAlertmanager, type Alertmanager } from "../../servers/alertmanager.ts";
import { anomaly } from "../given-anomaly.ts";

let alertmanager: Alertmanager | undefined;
afterEach(async () => alertmanager?.stop());

interface Listed {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly fingerprint: string;
  readonly generatorURL: string;
}

async function listed(url: string): Promise<readonly Listed[]> {
  return (await (await fetch(`${url}/api/v2/alerts`)).json()) as Listed[];
}

test("a real Alertmanager holds the alert while it is said again, and ends it when it is over", async () => {
  alertmanager = await startAlertmanager({ receiverUrl: "http://127.0.0.1:9/none" });
  const { url } = alertmanager;
  const channel = connectAlertmanager({ url, link: (id) => `https://fettle.example/${id}` });
  const { signal } = new AbortController();
  const open = anomaly({
    openedAt: Date.now() - 60_000,
    severity: "critical",
    labels: { quote: '"\n<script>' },
  });

  await channel.post(open, "firing", signal);
  const [first, ...others] = await listed(url);
  expect(others).toEqual([]);
  expect(first).toMatchObject({
    labels: { alertname: "AIOpsAnomalyDetected", severity: "critical", reason: "level_shift" },
    startsAt: new Date(open.openedAt).toISOString(),
    generatorURL: "https://fettle.example/anomaly_0123",
  });
  expect(Date.parse(first?.endsAt ?? "") - Date.now()).toBeGreaterThan(4 * 60_000);

  await new Promise((resolve) => setTimeout(resolve, 20));
  await channel.repeat?.([open, anomaly({ ...open, id: "b", series: "bbbbbbbbbbbb" })], signal);
  const again = await listed(url);
  expect(again).toHaveLength(2);
  const same = again.find(({ fingerprint }) => fingerprint === first?.fingerprint);
  expect(Date.parse(same?.endsAt ?? "")).toBeGreaterThan(Date.parse(first?.endsAt ?? ""));

  await channel.post(
    { ...open, closedAt: Date.now(), closeCause: "recovered" },
    "resolved",
    signal,
  );
  expect((await listed(url)).map(({ labels }) => labels["series"])).toEqual(["bbbbbbbbbbbb"]);
});
