import { readFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { afterEach, expect, test } from "@jest/globals";
import { connectAlertmanager } from "../../../detector/adapters/alertmanager.ts";
import { openChannels } from "../../../detector/adapters/channels.ts";
import { readDetectorConfig } from "../../../detector/config.ts";
import { PostError } from "../../../detector/faults.ts";
import type { Channel } from "../../../detector/types/delivery.ts";
import { ConfigError } from "../../../lib/config.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { recordingLog } from "../../fakes/recording-log.ts";
import { startAlertmanager } from "../../servers/alertmanager.ts";
import { anomaly } from "../given-anomaly.ts";
import { makeCertificates } from "../given-certificates.ts";
import { ownPort } from "../../servers/unprivileged.ts";

const NOWHERE = "http://127.0.0.1:9";
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function alertmanagerAt(options: Parameters<typeof startAlertmanager>[0]): Promise<string> {
  const { url, stop } = await startAlertmanager(options);
  cleanups.push(stop);
  return url;
}

async function listening(server: Server & { closeAllConnections(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

function channelOf(env: Record<string, string>): Channel {
  const [channel] = openChannels(readDetectorConfig(env).channels);
  if (channel === undefined) throw new Error("no channel");
  return channel;
}

const { signal } = new AbortController();

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
  const url = await alertmanagerAt({ receiverUrl: `${NOWHERE}/none` });
  const channel = connectAlertmanager({
    urls: [url],
    link: (id) => `https://fettle.example/${id}`,
  });
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

test("each member of a real cluster is told, people hear of it once, and a dead member holds nothing up", async () => {
  const notified: string[] = [];
  const receiver = createHttpServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request) body += String(chunk);
      notified.push((JSON.parse(body) as { status: string }).status);
      response.end();
    })();
  });
  const receiverUrl = `http://127.0.0.1:${await listening(receiver)}/`;
  const ports = [await ownPort(), await ownPort()] as const;
  const members = await Promise.all(
    ports.map(async (port) => {
      const cluster = { port, peers: ports.filter((other) => other !== port) };
      return startAlertmanager({ receiverUrl, cluster });
    }),
  );
  for (const { stop } of members) cleanups.push(stop);
  const urls = members.map(({ url }) => url);
  for (const url of urls) {
    await waitUntil("both members", async () => {
      const answer = await (await fetch(`${url}/api/v2/status`)).json();
      const { cluster } = answer as { cluster: { status: string; peers?: readonly unknown[] } };
      return cluster.status === "ready" && cluster.peers?.length === 2;
    });
  }
  const channel = channelOf({ AIOPS_ALERTMANAGER_URL: urls.join(" , ") });

  await channel.post(anomaly({ openedAt: Date.now() }), "firing", signal);

  for (const url of urls) expect(await listed(url)).toHaveLength(1);
  await waitUntil("the notification", async () => notified.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 4_000)); // the other member's turn is after 1 s
  expect(notified).toEqual(["firing"]);

  await members[0]?.stop();
  await channel.post(anomaly({ openedAt: Date.now(), series: "b" }), "firing", signal);
  expect(await listed(urls[1] ?? "")).toHaveLength(2);
});

test("a member that failed is left out for half a minute, unless no other takes the alerts; the log says so once", async () => {
  const tries: string[] = [];
  const answers = { a: 503, b: 200 };
  const [a, b] = await Promise.all(
    (["a", "b"] as const).map(async (name) => {
      const server = createHttpServer((request, response) => {
        request.resume();
        tries.push(name);
        response.writeHead(answers[name]).end();
      });
      return `http://127.0.0.1:${await listening(server)}`;
    }),
  );
  let now = 0;
  const log = recordingLog();
  const clock = { now: () => new Date(now) };
  const channel = connectAlertmanager({ urls: [a ?? "", b ?? ""], log, clock });
  const post = async () => channel.post(anomaly(), "firing", signal);

  await post();
  await post();
  expect(tries.sort()).toEqual(["a", "b", "b"]);
  expect(log.text()).toMatch(/^warn one Alertmanager of several does not take alerts url=\S+/);

  answers.b = 503;
  await expect(post()).rejects.toThrow(/^Alertmanager 127\.0\.0\.1:\d+ answered 503/);
  expect(tries.slice(3).sort()).toEqual(["a", "b"]);

  Object.assign(answers, { a: 200, b: 200 });
  now += 30_001;
  await post();
  expect(tries.slice(5).sort()).toEqual(["a", "b"]);
  expect(log.text().match(/takes alerts again/g)).toHaveLength(2);
});

test.each([
  [[400, 400], "refused"],
  [[400, 503], "unavailable"],
])("members that answer %j: the alert is %s", async (statuses, kind) => {
  const urls: string[] = [];
  for (const status of statuses) {
    const server = createHttpServer((request, response) => {
      request.resume();
      response.writeHead(status).end();
    });
    urls.push(`http://127.0.0.1:${await listening(server)}`);
  }

  const error: unknown = await connectAlertmanager({ urls })
    .post(anomaly(), "firing", signal)
    .catch((reason: unknown) => reason);

  expect(error).toBeInstanceOf(PostError);
  expect((error as PostError).kind).toBe(kind);
});

test("a real Alertmanager behind a proxy with its own authority, which asks who comes", async () => {
  const certificates = await makeCertificates();
  cleanups.push(async () => certificates.remove());
  const target = await alertmanagerAt({ receiverUrl: `${NOWHERE}/none` });
  const seen: (string | undefined)[] = [];
  const server = createServer(
    { cert: readFileSync(certificates.server.cert), key: readFileSync(certificates.server.key) },
    (request, response) => {
      void (async () => {
        seen.push(request.headers.authorization);
        let body = "";
        for await (const chunk of request) body += String(chunk);
        const headers = { "content-type": "application/json" };
        const answer = await fetch(`${target}${request.url ?? ""}`, {
          ...{ method: "POST", headers, body },
        });
        response.writeHead(answer.status).end(await answer.text());
      })();
    },
  );
  const url = `https://127.0.0.1:${await listening(server)}`;
  const post = async (env: Record<string, string>) =>
    channelOf({ AIOPS_ALERTMANAGER_URL: url, ...env }).post(
      anomaly({ openedAt: Date.now() }),
      "firing",
      signal,
    );

  await expect(post({})).rejects.toThrow("does not answer");
  expect(seen).toEqual([]);
  const trust = { AIOPS_ALERTMANAGER_CA_FILE: certificates.authority };
  await post({ ...trust, AIOPS_ALERTMANAGER_TOKEN: "let-me-in" });
  await post({ ...trust, AIOPS_ALERTMANAGER_USER: "fettle", AIOPS_ALERTMANAGER_PASSWORD: "päss" });

  const basic = `Basic ${Buffer.from("fettle:päss").toString("base64")}`;
  expect(seen).toEqual(["Bearer let-me-in", basic]);
  expect(await listed(target)).toHaveLength(1);
});

test("what is wrong with the variables of Alertmanager is said by their names, without a secret", async () => {
  const certificates = await makeCertificates();
  cleanups.push(async () => certificates.remove());
  const notPem = `${certificates.authority}.txt`;
  await copyFile(certificates.client.key, notPem);
  const problemsOf = (env: Record<string, string>): readonly string[] => {
    try {
      readDetectorConfig(env);
      return [];
    } catch (error) {
      return error instanceof ConfigError ? error.problems : [String(error)];
    }
  };
  const url = "https://a.example";

  expect(problemsOf({ AIOPS_ALERTMANAGER_URL: `${url}, b.example` })).toEqual([
    expect.stringMatching(/^AIOPS_ALERTMANAGER_URL: must be http:\/\/ or https:\/\/ addresses/),
  ]);
  expect(problemsOf({ AIOPS_ALERTMANAGER_URL: `${url},${url}/` })).toEqual([
    expect.stringContaining("an address stands there twice"),
  ]);
  expect(problemsOf({ AIOPS_ALERTMANAGER_URL: "https://me:hunter2@a.example" })).toEqual([
    "AIOPS_ALERTMANAGER_URL: must not contain a user, see AIOPS_ALERTMANAGER_USER",
  ]);
  expect(problemsOf({ AIOPS_ALERTMANAGER_TOKEN: "hunter2" })).toEqual([
    "AIOPS_ALERTMANAGER_URL: is required when there is a user or a token for it",
  ]);
  expect(
    problemsOf({
      AIOPS_ALERTMANAGER_URL: "http://a.example",
      AIOPS_ALERTMANAGER_USER: "me",
      AIOPS_ALERTMANAGER_CA_FILE: notPem,
    }),
  ).toEqual([
    "AIOPS_ALERTMANAGER_PASSWORD: is required when AIOPS_ALERTMANAGER_USER is set",
    "AIOPS_ALERTMANAGER_CA_FILE: needs an https:// address in AIOPS_ALERTMANAGER_URL",
    expect.stringMatching(/^AIOPS_ALERTMANAGER_CA_FILE: .+/),
  ]);
});
