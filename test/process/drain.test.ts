import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { CANARIES } from "../fault/canaries.ts";
import { brokenInvariants } from "../fault/invariants.ts";
import { givenSurroundings, type Surroundings } from "../fault/surroundings.ts";

/** Kubernetes kills after 30 s. */
const DRAIN_MAX_MS = 25_000;

let around: Surroundings;
let slack: FakeSlack;
let proxy: TcpProxy;
let sender: Socket | undefined;
const processes: FettleProcess[] = [];

beforeEach(async () => {
  around = await givenSurroundings();
  slack = await startSlack();
  const direct = new URL(around.env["AIOPS_DATABASE_URL"] ?? "");
  proxy = await startTcpProxy({ host: direct.hostname, port: Number(direct.port) });
});
afterEach(async () => {
  sender?.destroy();
  for (const each of processes.splice(0)) await each.stop();
  await proxy.stop();
  await slack.stop();
  await around.stop();
});

async function start(): Promise<FettleProcess> {
  const throughProxy = new URL(around.env["AIOPS_DATABASE_URL"] ?? "");
  throughProxy.port = String(proxy.port);
  const started = await startFettle("runbooks", "RUNBOOKS_PORT", {
    ...around.env,
    AIOPS_DATABASE_URL: throughProxy.href,
    SLACK_BOT_TOKEN: slack.token,
    SLACK_CHANNEL: "C0FETTLE",
    SLACK_API_URL: slack.apiUrl,
    RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
  });
  processes.push(started);
  return started;
}

/** What may hang when the signal comes. */
const HANGING: Readonly<Record<string, (url: string) => Promise<void>>> = {
  "a sender that never ends its body": async (url) => {
    sender = connect(Number(new URL(url).port), "127.0.0.1");
    sender.on("error", () => undefined);
    const head = `POST /alertmanager HTTP/1.1\r\nHost: fettle\r\nAuthorization: Bearer ${CANARIES.token}\r\nContent-Length: 100\r\n\r\n{`;
    sender.write(head);
  },
  "a Slack that never answers": async () => {
    slack.broken.set("chat.postMessage", "hang");
    slack.broken.set("chat.update", "hang");
  },
  "a cluster that never answers": async () => {
    around.kubernetes.failNext({ method: "PATCH", hang: true });
  },
  "a database that never answers": async () => proxy.setMode({ kind: "blackhole" }),
};

test.each([
  [],
  ["a sender that never ends its body"],
  ["a Slack that never answers"],
  ["a cluster that never answers"],
  ["a database that never answers"],
  Object.keys(HANGING),
])(
  "with %s %s %s %s it ends within 25 s of SIGTERM, and the next process goes on",
  async (...what) => {
    const service = await start();
    await around.deliver(service.url, "firing");
    await waitUntil("the question", async () => {
      return (await around.stateOf()) === "approval_pending";
    });
    const atOnce = what.filter((each) => !each.includes("database"));
    for (const each of atOnce) await HANGING[each]?.(service.url);
    await around.approve(service.url);
    const patches = () =>
      around.kubernetes.requests.filter(({ method, dryRun }) => method === "PATCH" && !dryRun);
    await waitUntil("the call to the cluster", async () => patches().length > 0);
    if (what.length !== atOnce.length)
      await HANGING["a database that never answers"]?.(service.url);

    const toldAt = performance.now();
    process.kill(service.pid, "SIGTERM");
    const code = await service.exited;
    const took = performance.now() - toldAt;
    process.stderr.write(
      `ended ${Math.round(took)} ms after SIGTERM (${what.join(", ") || "idle"})\n`,
    );
    await proxy.setMode({ kind: "pass" });
    slack.broken.clear();
    const next = await start();
    await around.deliver(next.url, "resolved");
    await waitUntil("the end", async () => (await around.stateOf()) === "succeeded");

    expect(code).toBe(0);
    expect(took).toBeLessThan(DRAIN_MAX_MS);
    expect(around.kubernetes.mutations()).toHaveLength(1);
    const output = () => processes.map((each) => each.output()).join("");
    expect(await brokenInvariants({ ...around, slack, output })).toEqual([]);
  },
  150_000,
);
