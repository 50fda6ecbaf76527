import { afterEach, expect, test } from "@jest/globals";
import { silentLog } from "../../../lib/log.ts";
import { parsePolicy } from "../../../runbooks/policy/parse.ts";
import { openPolicySource, type FollowedPolicy } from "../../../runbooks/policy/source.ts";
import type { PolicyNews } from "../../../runbooks/policy/versions.ts";
import { fakePolicyMap, type FakePolicyMap } from "../../fakes/policy-map.ts";
import { PATIENCE_MS } from "../../fakes/fettle.ts";

const actions = new Set(["rollout_restart", "restart_pods"]);
const RESTART = "crash=rollout_restart";
const PODS = "crash=restart_pods";
const TEN_MINUTES_MS = 600_000;

interface GivenSource {
  readonly source: FollowedPolicy;
  readonly news: PolicyNews[];
  /** Sleeps end at once, and take that long on this clock. */
  readonly pass: (ms: number) => void;
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function givenSource(map: FakePolicyMap | undefined, follows = true): GivenSource {
  const news: PolicyNews[] = [];
  let nowMs = 0;
  const source = openPolicySource({
    map,
    environment: parsePolicy(RESTART, actions),
    actions,
    record: async (item) => {
      news.push(item);
    },
    clock: {
      // Real, but short: what is waited for here is a change of the map, never the time.
      sleep: async (_ms, signal) =>
        new Promise((resolve) => {
          const timer = setTimeout(resolve, 5);
          signal?.addEventListener("abort", () => {
            clearTimeout(timer);
            resolve();
          });
        }),
    },
    elapsedMs: () => nowMs,
    log: silentLog,
  });
  if (follows) {
    const stopping = new AbortController();
    const following = source.follow(stopping.signal);
    stops.push(async () => {
      stopping.abort();
      await following;
    });
  }
  return {
    source,
    news,
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

/** The action of the rule that is in force for `crash`, or why nothing is known. */
async function inForce({ source }: GivenSource): Promise<string> {
  const reading = await source.current();
  if (reading.kind === "unknown") return reading.why;
  const [entry] = reading.document.entries;
  return `${entry?.key ?? ""} ${entry?.rules[0]?.action ?? "nothing"}`;
}

async function until(expected: string, given: GivenSource): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while ((await inForce(given)) !== expected && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await inForce(given)).toBe(expected);
}

test("without a ConfigMap at the start the environment's rules are in force", async () => {
  expect(await inForce(givenSource(undefined))).toBe("env rollout_restart");
  expect(await inForce(givenSource(fakePolicyMap()))).toBe("env rollout_restart");
});

test("a ConfigMap goes before the environment, and its change is in force as soon as it is told", async () => {
  const map = fakePolicyMap({ default: PODS });
  const given = givenSource(map);
  expect(await inForce(given)).toBe("default restart_pods");

  map.put({ default: RESTART });

  await until("default rollout_restart", given);
  expect(given.news.filter((item) => item.kind === "read" && item.isNew)).toHaveLength(2);
  expect(given.news[0]).toMatchObject({ kind: "read", changedBy: "eva" });
});

test.each<[string, (map: FakePolicyMap) => void, string]>([
  [
    "deleted",
    (map) => {
      map.put(undefined);
    },
    "the ConfigMap runbooks/runbooks-policy is gone",
  ],
  [
    "not readable",
    (map) => {
      map.put({ default: "crash=reboot" });
    },
    "is not an action",
  ],
  [
    "out of reach",
    (map) => {
      map.failWith("no answer");
    },
    "no answer",
  ],
])(
  "%s: the last good one holds for ten minutes, then nothing is allowed",
  async (_name, lose, why) => {
    const map = fakePolicyMap({ default: PODS });
    const given = givenSource(map);
    expect(await inForce(given)).toBe("default restart_pods");

    lose(map);
    const deadline = Date.now() + PATIENCE_MS;
    while (given.news.every(({ kind }) => kind === "read") && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    given.pass(TEN_MINUTES_MS);
    expect(await inForce(given)).toBe("default restart_pods");
    given.pass(1_000);
    expect(await inForce(given)).toContain(why);
    expect(await inForce(given)).toContain("last read 10 minutes ago");

    map.failWith(undefined);
    map.put({ default: RESTART });
    await until("default rollout_restart", given);
  },
);

test("one that cannot be read at the start allows nothing, not even what the environment says", async () => {
  const broken = givenSource(fakePolicyMap({ default: "crash=reboot" }));
  const map = fakePolicyMap();
  map.failWith("forbidden");

  expect(await inForce(broken)).toContain('"reboot" is not an action');
  expect(await inForce(givenSource(map))).toBe("forbidden");
});

test("when nobody looks any more, nothing is allowed after ten minutes", async () => {
  const given = givenSource(fakePolicyMap({ default: PODS }), false);
  expect(await inForce(given)).toBe("default restart_pods");

  given.pass(TEN_MINUTES_MS + 1_000);

  expect(await inForce(given)).toBe("nobody has looked; last read 10 minutes ago");
});

test("the same policy read again stays the same object: lookups are kept by object", async () => {
  const map = fakePolicyMap({ default: PODS });
  const given = givenSource(map);
  const first = await given.source.current();

  map.put({ default: PODS });
  const deadline = Date.now() + PATIENCE_MS;
  while (map.reads() < 2 && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5));
  const second = await given.source.current();

  expect(second.kind === "known" && second.document).toBe(first.kind === "known" && first.document);
});
