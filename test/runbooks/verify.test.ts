import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { prometheusSource } from "../../runbooks/adapters/prometheus.ts";
import { openVerifier } from "../../runbooks/open-verifier.ts";
import type { Run } from "../../runbooks/types/run.ts";
import type { Health, Verifier } from "../../runbooks/types/verify.ts";
import { parseQueries } from "../../runbooks/verify-queries.ts";
import { verifyEffect, type Observation } from "../../runbooks/verify.ts";
import { startFakePrometheus } from "../fakes/prometheus.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";
import { given, waitingRun } from "./given.ts";

const HEALTHY: Health = { kind: "healthy", text: "the metric is well" };
const SICK: Health = { kind: "sick", text: "the metric is not well" };
const NO_DATA: Health = { kind: "no data", text: "the metric has no data" };
const NOT_ASKED: Health = { kind: "not asked", text: "no query is set for t" };
const RESOLVED = { status: "resolved", endsAt: "2026-11-21T03:05:00Z" } as const;

describe("whether it helped", () => {
  const good: Observation = {
    settled: true,
    firing: 0,
    health: HEALTHY,
    wellSeconds: 180,
    secondsSince: 200,
    limitSeconds: 300,
    holdSeconds: 180,
  };
  const late = { secondsSince: 300 };

  test.each<[what: string, change: Partial<Observation>, expected: object]>([
    ["all is well for long enough", {}, { state: "succeeded" }],
    ["all is well, but not for long enough", { wellSeconds: 179 }, { kind: "wait", well: true }],
    ["the same past the limit", { wellSeconds: 1, ...late }, { kind: "wait", well: true }],
    ["no metric is asked", { health: NOT_ASKED, wellSeconds: 0 }, { state: "succeeded" }],
    ["the metric is sick, before the limit", { health: SICK }, { kind: "wait", well: false }],
    ["the metric is sick at the limit", { health: SICK, ...late }, { state: "failed" }],
    [
      "the alert resolved and nothing is measured",
      { health: NO_DATA, ...late },
      { state: "unknown" },
    ],
    [
      "the metric cannot be asked",
      { health: { kind: "unknown", text: "x" }, ...late },
      { state: "unknown" },
    ],
    ["an alert fires at the limit", { firing: 1, health: undefined, ...late }, { state: "failed" }],
    ["an alert fires before the limit", { firing: 1, health: undefined }, { kind: "wait" }],
    ["the pods are not there", { settled: false, health: undefined, ...late }, { state: "failed" }],
    [
      "the cluster does not answer",
      { settled: undefined, health: undefined, ...late },
      { state: "unknown" },
    ],
  ])("when %s", (_what, change, expected) => {
    expect(verifyEffect({ ...good, ...change })).toMatchObject(expected);
  });

  test("an outcome without a metric says that the alert alone was asked", () => {
    expect(verifyEffect({ ...good, health: NOT_ASKED })).toMatchObject({
      why: "done, and the alert resolved (no query is set for t: the alert alone was asked)",
    });
  });
});

describe("the operator's queries", () => {
  test("are read by trigger; the query may hold equals signs", () => {
    expect([...parseQueries(" a = up == bool 1 ;; b.c=vector(1);")]).toEqual([
      ["a", "up == bool 1"],
      ["b.c", "vector(1)"],
    ]);
  });

  test.each([
    ["up", 'expected trigger=PromQL, got "up"'],
    ["=up", 'expected trigger=PromQL, got "=up"'],
    ["a=", 'expected trigger=PromQL, got "a="'],
    ["a=up;a=down", "there are two queries for a"],
  ])("%j is refused", (text, problem) => {
    expect(() => parseQueries(text)).toThrow(problem);
  });
});

describe("the metric", () => {
  let prometheus: Prometheus;
  beforeAll(async () => {
    prometheus = await startPrometheus();
  });
  afterAll(async () => {
    await prometheus.stop();
  });

  const runOf = (labels: Run["trigger"]["labels"], trigger = "t") =>
    ({ targetKey: "default/shop/deployment/web", trigger: { trigger, labels } }) as Run;
  const asking = (query: string): Verifier =>
    openVerifier({
      queries: new Map([["t", query]]),
      source: prometheusSource({ url: prometheus.url }, silentLog),
    });
  const labelled = (value: number, app: string) =>
    `label_replace(vector(${value}), "app", "${app}", "", "")`;

  test.each([
    ["1", "vector(1)", "healthy"],
    ["0", "vector(0)", "sick"],
    ["not a number", "vector(0) / 0", "no data"],
    ["nothing", "absent(vector(1))", "no data"],
    ["a query that cannot be read", "this is not PromQL", "unknown"],
    ["a matrix", "up[1m]", "unknown"],
    ["one sick series of two", `${labelled(1, "web")} or ${labelled(0, "web2")}`, "sick"],
  ])("of %s", async (_what, query, kind) => {
    expect(await asking(query).healthy(runOf({}))).toMatchObject({ kind });
  });

  test("is that of the alert's own series, whatever the others say", async () => {
    const query = `${labelled(1, "web")} or ${labelled(0, "other")}`;

    expect(await asking(query).healthy(runOf({ app: "web" }))).toMatchObject({ kind: "healthy" });
    expect(await asking(query).healthy(runOf({ app: "other" }))).toMatchObject({ kind: "sick" });
    expect(await asking(query).healthy(runOf({ app: "third" }))).toMatchObject({ kind: "no data" });
  });

  test("is that of the run's own workload, also when the alert names only a pod", async () => {
    const series = (value: number, deployment: string, namespace: string) =>
      `label_replace(label_replace(vector(${value}), "deployment", "${deployment}", "", ""), "namespace", "${namespace}", "", "")`;
    const alert = { pod: "web-5d4f8c7b9d-x2x4z" };
    const well = `${series(1, "web", "shop")} or ${series(0, "switched-off", "shop")} or ${series(0, "web", "other")}`;
    const sick = `${series(0, "web", "shop")} or ${series(1, "switched-off", "shop")}`;

    expect(await asking(well).healthy(runOf(alert))).toMatchObject({ kind: "healthy" });
    expect(await asking(sick).healthy(runOf(alert))).toMatchObject({ kind: "sick" });
  });

  test("is asked by the runbook's own query, before the trigger's, and for as long as it says", async () => {
    const runbook = { id: "own", trigger: "t", matches: () => true };
    const verify = { query: "vector(0)", holdSeconds: 60 };
    const source = prometheusSource({ url: prometheus.url }, silentLog);
    const verifierFor = (own: Partial<typeof verify>) =>
      openVerifier({
        queries: new Map([["t", "vector(1)"]]),
        source,
        runbooks: () => [
          { ...runbook, verify: { query: undefined, holdSeconds: undefined, ...own } },
        ],
      });
    const run = (id: string) => ({ ...runOf({}), runbook: id });

    expect(await verifierFor(verify).healthy(run("own"))).toMatchObject({
      kind: "sick",
      holdSeconds: 60,
    });
    expect(await verifierFor(verify).healthy(run("other"))).toMatchObject({ kind: "healthy" });
    expect(await verifierFor({ holdSeconds: 7 }).healthy(run("own"))).toMatchObject({
      kind: "healthy",
      holdSeconds: 7,
    });
  });

  test("is not known when the runbook has a query and there is no Prometheus to ask", async () => {
    const verifier = openVerifier({
      queries: new Map(),
      source: undefined,
      runbooks: () => [
        {
          id: "own",
          trigger: "t",
          matches: () => true,
          verify: { query: "up", holdSeconds: undefined },
        },
      ],
    });

    expect(await verifier.healthy({ ...runOf({}), runbook: "own" })).toMatchObject({
      kind: "unknown",
      text: expect.stringContaining("PROM_URL"),
    });
  });

  test("is not asked for a trigger without a query, nor for a label that only looks like one", async () => {
    const verifier = asking("vector(1)");

    expect(await verifier.healthy(runOf({}, "another"))).toMatchObject({ kind: "not asked" });
    expect(await verifier.healthy(runOf({}, "constructor"))).toMatchObject({ kind: "not asked" });
  });

  test("is not known when nobody answers, and the token is not told", async () => {
    const source = prometheusSource(
      { url: "http://127.0.0.1:9", token: new Secret("canary-x") },
      silentLog,
    );
    const verifier = openVerifier({ queries: new Map([["t", "up"]]), source });

    const health = await verifier.healthy(runOf({}));

    expect(health.kind).toBe("unknown");
    expect(JSON.stringify(health)).not.toContain("canary");
  });

  test("is asked with the token, and an endless answer is cut off", async () => {
    const fake = await startFakePrometheus(() => []);
    const source = prometheusSource({ url: fake.url, token: new Secret("canary-x") }, silentLog);
    fake.faults.push({ body: "x".repeat(2 * 1024 * 1024) }, { status: 503 });

    await expect(source.query("up")).rejects.toThrow("longer than");
    await expect(source.query("up")).rejects.toThrow("503");
    expect(fake.requests[0]).toMatchObject({ authorization: "Bearer canary-x" });
    await fake.stop();
  });
});

describe("a run", () => {
  let testDatabase: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = openTestDatabase(testDatabase.url);
  });
  afterAll(async () => {
    await database.close();
    await testDatabase.drop();
  });

  test("succeeds only when its metric has stayed well; a relapse starts the time anew", async () => {
    let health = SICK; // what is well before the action is left alone
    const setup = given(database, "held", { verifier: { healthy: async () => health } });
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await setup.advance(id);
    await setup.deliver([RESOLVED]);
    const longAgo = async () =>
      database.query(
        `UPDATE runs SET progress = progress || jsonb_build_object('wellSince', now() - interval '181 seconds')
          WHERE id = $1 AND progress ? 'wellSince'`,
        [id],
      );
    const progress = async () =>
      (await database.query<{ progress: object }>("SELECT progress FROM runs WHERE id = $1", [id]))
        .rows[0]?.progress;

    health = HEALTHY;
    await setup.advance(id);
    expect(await progress()).toEqual({
      wellSince: expect.any(String),
      wellSeenAt: expect.any(String),
    });
    health = SICK;
    await setup.advance(id);
    expect(await progress()).toEqual({});
    health = HEALTHY;
    await setup.advance(id);
    expect((await setup.runs())[0]?.state).toBe("verifying");
    await longAgo();
    await setup.advance(id);

    expect(await setup.runs()).toMatchObject([
      {
        state: "succeeded",
        outcome: "done, the alert resolved, and the metric is well for 180 s",
      },
    ]);
    expect(await setup.events(id)).not.toContain("progress");
  });

  test("that nobody watched for a while was not well all the time", async () => {
    let health: Health = SICK;
    const setup = given(database, "unwatched", { verifier: { healthy: async () => health } });
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await setup.advance(id);
    await setup.deliver([RESOLVED]);
    health = HEALTHY;
    await setup.advance(id);
    // The service was down for 10 minutes.
    await database.query(
      `UPDATE runs SET state_since = state_since - interval '10 minutes', progress =
         (SELECT jsonb_object_agg(key, to_jsonb((value#>>'{}')::timestamptz - interval '10 minutes')) FROM jsonb_each(progress))
        WHERE id = $1`,
      [id],
    );

    await setup.advance(id);

    expect((await setup.runs())[0]?.state).toBe("verifying");
  });

  test("must stay well for as long as its runbook says, unless the policy's rule says otherwise", async () => {
    let health: Health = SICK;
    const setup = given(database, "own-hold", { verifier: { healthy: async () => health } });
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await setup.advance(id);
    await setup.deliver([RESOLVED]);
    const wellFor = async (seconds: number) =>
      database.query(
        "UPDATE runs SET progress = jsonb_build_object('wellSince', now() - make_interval(secs => $2), 'wellSeenAt', now()) WHERE id = $1",
        [id, seconds],
      );

    health = { ...HEALTHY, holdSeconds: 600 };
    await wellFor(599);
    await setup.advance(id);
    expect((await setup.runs())[0]?.state).toBe("verifying");
    await wellFor(601);
    await setup.advance(id);

    expect(await setup.runs()).toMatchObject([
      { state: "succeeded", outcome: expect.stringContaining("for 600 s") },
    ]);
  });

  test("is unknown when its alert resolved because nothing is measured any more", async () => {
    const setup = given(database, "silent", { verifier: { healthy: async () => NO_DATA } });
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await setup.advance(id);
    await setup.deliver([RESOLVED]);

    await setup.advance(id, { verifySeconds: 0 });

    expect(await setup.runs()).toMatchObject([
      { state: "unknown", outcome: expect.stringContaining("the metric has no data") },
    ]);
  });

  test("is unknown when nobody here can look at what was done", async () => {
    const setup = given(database, "forgotten");
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await setup.advance(id);

    await setup.advance(id, { actions: {}, verifySeconds: 0 }); // another version, or one without a hypervisor

    expect(await setup.runs()).toMatchObject([{ state: "unknown" }]);
  });
});
