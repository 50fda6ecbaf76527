import { afterEach, expect, test } from "@jest/globals";
import { PostError } from "../../detector/faults.ts";
import { openPostOffice, type PostOffice } from "../../detector/post-office.ts";
import type { Anomaly } from "../../detector/types/anomaly.ts";
import type { Channel, ChannelName, Delivery, Mailbox } from "../../detector/types/delivery.ts";
import { systemClock, type Clock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import { anomaly, delivery } from "./given-anomaly.ts";
import { PATIENCE_MS } from "../fakes/fettle.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Time passes when somebody sleeps, at least `leapMs` each time: a day of retries takes a moment. */
function fastClock(leapMs: number): Clock & { readonly slept: number[] } {
  let now = Date.parse("2026-11-20T10:00:00Z");
  const slept: number[] = [];
  return {
    slept,
    now: () => new Date(now),
    sleep: async (ms, signal) => {
      if (signal?.aborted === true) return;
      slept.push(ms);
      await systemClock.sleep(1, signal);
      now += Math.max(ms, leapMs);
    },
  };
}

type Post = (anomaly: Anomaly, status: string, signal: AbortSignal) => Promise<void>;

interface World {
  readonly office: PostOffice;
  /** `<channel> <status> <anomaly>` of each attempt, in order. */
  readonly posted: string[];
  readonly results: string[];
  readonly settled: string[];
  readonly clock: ReturnType<typeof fastClock>;
}

function given(
  posts: Partial<Record<ChannelName, Post>>,
  change: {
    readonly durable?: Mailbox;
    readonly open?: readonly Anomaly[];
    readonly repeat?: boolean;
    readonly leapMs?: number;
  } = {},
): World {
  const world = { posted: [] as string[], results: [] as string[], settled: [] as string[] };
  const clock = fastClock(change.leapMs ?? 0);
  const channels = Object.entries(posts).map(([name, post]): Channel => {
    const channel: Channel = {
      name: name as ChannelName,
      post: async (one, status, signal) => {
        world.posted.push(`${name} ${status} ${one.id}`);
        await post(one, status, signal);
      },
    };
    const repeat = async (open: readonly Anomaly[]) =>
      void world.posted.push(`${name} again ${open.map(({ id }) => id).join(",")}`);
    return change.repeat === true ? { ...channel, repeat } : channel;
  });
  const office = openPostOffice({
    channels,
    durable: change.durable,
    journal: {
      settled: async ({ channel, status, anomaly: { id } }, result) =>
        void world.settled.push(`${channel} ${status} ${id} ${result}`),
    },
    openAnomalies: () => change.open ?? [],
    metrics: { delivery: (channel, result) => void world.results.push(`${channel} ${result}`) },
    log: silentLog,
    clock,
  });
  office.start();
  cleanups.push(async () => office.stop());
  return { ...world, office, clock };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("waited in vain");
    await systemClock.sleep(2);
  }
}

const taken: Post = async () => undefined;
const unavailable = (retryAfterMs = 0) => new PostError("unavailable", "busy", { retryAfterMs });

test("every channel gets every alert, the beginning before the end", async () => {
  const { office, posted, settled } = given({ slack: taken, pagerduty: taken });

  office.add(anomaly({ id: "a" }), "firing", "unstored");
  office.add(anomaly({ id: "a" }), "resolved", "unstored");
  await until(() => settled.length === 4);

  for (const name of ["slack", "pagerduty"]) {
    expect(posted.filter((line) => line.startsWith(name))).toEqual([
      `${name} firing a`,
      `${name} resolved a`,
    ]);
  }
});

test("one that hangs holds up no other channel, and is given up when the service stops", async () => {
  const hang: Post = async (_anomaly, _status, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        reject(new PostError("unavailable", "aborted"));
      });
    });
  const { office, settled, results } = given({ slack: hang, discord: taken });

  office.add(anomaly({ id: "a" }), "firing", "unstored");
  await until(() => settled.length === 1);
  await office.stop();

  expect(settled).toEqual(["discord firing a delivered"]);
  expect(results).toEqual(["discord delivered"]);
});

test("an alert that fails is tried again, later and later, while the others pass it", async () => {
  let failures = 6;
  const { office, posted, settled, clock } = given({
    slack: async ({ id }) => {
      if (id === "bad" && failures-- > 0) throw unavailable();
    },
  });

  office.add(anomaly({ id: "bad" }), "firing", "unstored");
  office.add(anomaly({ id: "good" }), "firing", "unstored");
  await until(() => settled.length === 2);

  expect(settled).toEqual(["slack firing good delivered", "slack firing bad delivered"]);
  expect(posted.filter((line) => line.endsWith("bad"))).toHaveLength(7);
  // 1 + 2 + 4 + 8 + 16 + 32 s, each between a half and the whole of it.
  const seconds = clock.slept.reduce((sum, ms) => sum + ms, 0) / 1000;
  expect(seconds).toBeGreaterThanOrEqual(31);
  expect(seconds).toBeLessThanOrEqual(63 + 7);
  expect(office.channels).toEqual([{ name: "slack", fault: undefined }]);
});

test("a receiver that names a time is left alone until then", async () => {
  let first = true;
  const { office, settled, clock } = given({
    discord: async () => {
      if (!first) return;
      first = false;
      throw unavailable(90_000);
    },
  });

  office.add(anomaly(), "firing", "unstored");
  await until(() => settled.length === 1);

  expect(clock.slept.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(90_000);
});

test("what is refused for good is not tried again, and does not block the end", async () => {
  const { office, results, settled } = given({
    slack: async (_anomaly, status) => {
      if (status === "firing") throw new PostError("refused", "no");
    },
  });

  office.add(anomaly({ id: "a" }), "firing", "unstored");
  office.add(anomaly({ id: "a" }), "resolved", "unstored");
  await until(() => settled.length === 2);

  expect(results).toEqual(["slack refused", "slack delivered"]);
});

test("an alert that nobody took for a day is given up, and counted", async () => {
  const hour = 3_600_000;
  const { office, results, settled } = given(
    {
      slack: async () => {
        throw unavailable(hour);
      },
    },
    { leapMs: hour / 2 },
  );

  office.add(anomaly(), "firing", "unstored");
  await until(() => settled.length === 1);

  expect(settled).toEqual(["slack firing anomaly_0123 gave_up"]);
  expect(results.at(-1)).toBe("slack gave_up");
  expect(results.length).toBeLessThan(30);
});

test("a failing channel is seen from outside, by its name", async () => {
  const { office } = given({
    slack: async () => {
      throw unavailable();
    },
    discord: taken,
  });

  office.add(anomaly(), "firing", "unstored");
  await until(() => office.channels.some(({ fault }) => fault !== undefined));

  expect(office.channels.find(({ fault }) => fault !== undefined)?.name).toBe("slack");
});

test("what the database holds is taken from there, and an alert once sent is not sent again while it is down", async () => {
  let settles = 0;
  const due: Delivery[] = [delivery(anomaly({ id: "stored" }))];
  const durable: Mailbox = {
    take: async () => due[0],
    retry: async () => undefined,
    settle: async () => {
      settles += 1;
      if (settles < 3) throw Object.assign(new Error("down"), { code: "ECONNREFUSED" });
      due.shift();
    },
    sweep: async () => undefined,
  };
  const { office, posted, results } = given({ slack: taken }, { durable });

  office.add(anomaly({ id: "stored" }), "firing", "stored");
  await until(() => due.length === 0);

  expect(posted).toEqual(["slack firing stored"]);
  expect(results).toEqual(["slack delivered"]);
});

test("a channel that forgets is told again each minute what is open", async () => {
  const open = [anomaly({ id: "a" }), anomaly({ id: "b" })];
  const { posted } = given({ alertmanager: taken }, { open, repeat: true });

  await until(() => posted.length >= 3);

  expect(new Set(posted)).toEqual(new Set(["alertmanager again a,b"]));
});

test("memory is bounded: the oldest alert is dropped, with a count", async () => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { office, results, settled } = given({ slack: async () => gate });

  for (let id = 0; id <= 1000; id += 1) office.add(anomaly({ id: `${id}` }), "firing", "unstored");
  release();
  await until(() => settled.length >= 1000);

  expect(results.filter((result) => result === "slack dropped")).toHaveLength(1);
});
