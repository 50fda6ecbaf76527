import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../../lib/log.ts";
import { openRunWatch } from "../../../runbooks/pages/run-watch.ts";
import { send } from "../../../runbooks/routes/stream.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { givenService, type GivenService } from "../given-service.ts";
import { API_TOKEN, PAGES_ENV, givenQuestion } from "./given-pages.ts";

let service: GivenService;

beforeAll(async () => {
  service = await givenService({ ...PAGES_ENV });
});
afterAll(async () => service.stop());

interface Listening {
  readonly status: number;
  readonly headers: Headers;
  readonly text: () => string;
  readonly ended: Promise<void>;
  readonly leave: () => void;
}

async function listenTo({ url }: GivenService, path: string): Promise<Listening> {
  const leaving = new AbortController();
  const answer = await fetch(`${url}${path}`, {
    headers: { authorization: `Bearer ${API_TOKEN}` },
    signal: leaving.signal,
  });
  let text = "";
  const read = async () => {
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString();
  };
  return {
    status: answer.status,
    headers: answer.headers,
    text: () => text,
    ended: read().catch(() => undefined),
    leave: () => {
      leaving.abort();
    },
  };
}

test("tells each change to all who look, and ends with the run", async () => {
  const { runId } = await givenQuestion(service);
  const path = `/runs/${runId}/stream`;
  const streams = await Promise.all([1, 2, 3].map(async () => listenTo(service, path)));

  for (const { status, headers } of streams) {
    expect([status, headers.get("content-type"), headers.get("cache-control")]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
      "no-store",
    ]);
  }
  await waitUntil("the state", async () =>
    streams.every(({ text }) => text().includes('"state":"approval_pending"')),
  );
  await fetch(`${service.url}/runs/${runId}/cancel`, {
    method: "POST",
    headers: { authorization: `Bearer ${API_TOKEN}` },
    body: new URLSearchParams({ by: "eve" }),
    redirect: "manual",
  });
  await Promise.all(streams.map(async ({ ended }) => ended));
  for (const { text } of streams) {
    expect(text()).toContain("retry: 5000\n\n");
    expect(text().match(/event: run\n/g)).toHaveLength(2);
    expect(text()).toMatch(
      /"state":"cancelled","finished":true,"version":"\d+"\}\n\nevent: end\ndata: \{\}\n\n$/s,
    );
  }
});

test("of a run that does not exist is not found", async () => {
  const { status } = await listenTo(service, "/runs/run_0/stream");

  expect(status).toBe(404);
});

test("takes no more than 256 at a time, and has room again when they leave", async () => {
  const { runId } = await givenQuestion(service);
  const path = `/runs/${runId}/stream`;
  const streams = await Promise.all(
    Array.from({ length: 256 }, async () => listenTo(service, path)),
  );
  const tooMany = await listenTo(service, path);

  expect(streams.every(({ status }) => status === 200)).toBe(true);
  expect([tooMany.status, tooMany.headers.get("retry-after")]).toEqual([503, "30"]);

  for (const { leave } of streams) leave();
  await waitUntil("room", async () => {
    const next = await listenTo(service, path);
    next.leave();
    return next.status === 200;
  });
});

test("one statement a second serves everybody, and none is made while nobody looks", async () => {
  let statements = 0;
  const times: (() => void)[] = [];
  const clock = {
    now: () => new Date(),
    sleep: async (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        times.push(resolve);
        signal?.addEventListener("abort", () => {
          resolve();
        });
      }),
  };
  const run = { id: "run_1", state: "matched", version: "1", finished: false };
  const database = {
    query: async <Row extends object>() => {
      statements += 1;
      return { rows: [run] as unknown as Row[], rowCount: 1 };
    },
  };
  const watch = openRunWatch({ database, clock, log: silentLog });
  const told: string[] = [];
  const watcher = () => ({
    runId: "run_1",
    until: new Date(Date.now() + 60_000),
    tell: ({ state }: typeof run) => {
      told.push(state);
    },
    beat: () => {
      told.push("beat");
    },
    end: () => {
      told.push("end");
    },
  });
  const turn = async () => {
    times.splice(0).forEach((resolve) => {
      resolve();
    });
    await new Promise(setImmediate);
  };

  const leave = [watch.join(watcher()), watch.join(watcher())];
  await turn();
  expect([statements, told]).toEqual([1, ["matched", "matched"]]);
  for (let at = 0; at < 14; at += 1) await turn();
  expect([statements, told.slice(2)]).toEqual([15, ["beat", "beat"]]);
  for (const go of leave) go?.();
  for (let at = 0; at < 5; at += 1) await turn();
  expect([statements, told.slice(4)]).toEqual([15, ["end", "end"]]);

  watch.join({ ...watcher(), until: new Date(0) });
  await turn();
  expect(told.slice(6)).toEqual(["matched", "end"]);
  await watch.stop();
  expect(watch.join(watcher())).toBeUndefined();
});

test("who does not read is cut off before 64 KiB wait for him", () => {
  let [waiting, destroyed] = [0, false];
  const response = {
    get writableLength() {
      return waiting;
    },
    destroy: () => {
      destroyed = true;
    },
    write: (text: string) => {
      waiting += text.length;
      return false;
    },
  };
  for (let at = 0; at < 1_000 && !destroyed; at += 1)
    send(response as unknown as Parameters<typeof send>[0], "x".repeat(200));

  expect(destroyed).toBe(true);
  expect(waiting).toBeGreaterThan(60 * 1024);
  expect(waiting).toBeLessThanOrEqual(64 * 1024);
});

test("ends when the service stops, which does not wait for those who look", async () => {
  const own = await givenService({ ...PAGES_ENV });
  const { runId } = await givenQuestion(own);
  const stream = await listenTo(own, `/runs/${runId}/stream`);
  await waitUntil("the state", async () => stream.text().includes("approval_pending"));

  const from = performance.now();
  await own.stop();
  await stream.ended;

  // Without the streams' own end the server waits five seconds for open requests.
  expect(performance.now() - from).toBeLessThan(4_500);
});
