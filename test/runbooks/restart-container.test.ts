import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ClusterError } from "../../runbooks/types/cluster.ts";
import type { FakeContainer } from "../fakes/hypervisor.ts";
import { givenContainer, START, WEB, type GivenContainer } from "./given-container.ts";

const POST = /^POST/;

let given: GivenContainer;
beforeEach(async () => {
  given = await givenContainer();
});
afterEach(async () => {
  await given.hypervisor.stop();
});

describe("the plan", () => {
  test("holds the start that the restart is to end, and was checked by the hypervisor without an effect", async () => {
    const prepared = await given.prepare();

    expect(prepared).toMatchObject({
      kind: "plan",
      plan: {
        action: "restart_container",
        uid: "c-1",
        effect: { kind: "container", name: "web", startedAt: "2026-11-20T10:00:00Z" },
        summary: "Restart the container shop/web, which has run since 2026-11-20T10:00:00Z",
      },
      preflight: [
        { severity: "info", about: "replicas" },
        { severity: "info", about: "dry-run", text: "the hypervisor would accept it" },
      ],
      blast: { affected: 1, of: 1 },
      rollback: expect.stringContaining("snapshots/restore?project=shop"),
    });
    expect(given.hypervisor.requests.map(({ method, path, key }) => [method, path, key])).toEqual([
      ["GET", "/api/v1/containers/web?project=shop", undefined],
      ["POST", "/api/v1/containers/web/action?project=shop&dryRun=true", undefined],
    ]);
    expect(given.hypervisor.mutations()).toEqual([]);
  });

  test.each<[string, Partial<FakeContainer>, string]>([
    ["is stopped", { status: "stopped" }, "is stopped"],
    ["is paused", { status: "paused" }, "is paused"],
    ["does not say when it was started", { started_at: null }, "does not say when it was started"],
  ])("is refused for a container that %s", async (_what, change, why) => {
    Object.assign(given.web(), change);

    expect(await given.prepare()).toMatchObject({
      kind: "refused",
      why: expect.stringContaining(why),
    });
  });

  test("is refused for a container that there is not, and its name stays inside its path", async () => {
    expect(await given.prepare({ ...WEB, namespace: "other" })).toMatchObject({
      kind: "refused",
      why: "there is no container other/web",
    });
    await given.prepare({ ...WEB, name: "../users?x=" });
    expect(given.hypervisor.requests.at(-1)?.path).toBe(
      "/api/v1/containers/..%2Fusers%3Fx%3D?project=shop",
    );
  });

  test("tells people when it was only just started, or when something is being done to it", async () => {
    given.web().started_at = new Date(START - 20_000).toISOString();
    given.hypervisor.busy.set("shop/web", "a snapshot is being taken");

    expect(await given.prepare()).toMatchObject({
      preflight: [
        { severity: "warn", text: "it was started 20 s ago: it may still be starting" },
        { severity: "info", about: "replicas" },
        { severity: "warn", text: expect.stringContaining("a snapshot is being taken") },
      ],
    });
  });

  test.each([
    [
      "refuses the dry run",
      { status: 403, body: '{"title":"Forbidden","detail":"needs container:restart"}' },
      "needs container:restart",
    ],
    [
      "does not know dry runs",
      { status: 202, body: '{"workflow_id":"op-9"}' },
      "its answer cannot be read",
    ],
  ])("is stopped when the hypervisor %s", async (_what, fault, why) => {
    given.hypervisor.faults.push({ when: POST, fault });

    expect(await given.prepare()).toMatchObject({
      preflight: [
        { severity: "info" },
        { severity: "stop", about: "dry-run", text: expect.stringContaining(why) },
      ],
    });
  });

  test("is not made by another server than the configured one", async () => {
    const headers = { location: "http://127.0.0.1:9/" };
    given.hypervisor.faults.push({ when: POST, fault: { status: 302, headers } });

    await expect(given.prepare()).rejects.toThrow(ClusterError);
  });
});

describe("a restart", () => {
  test("is one call with the run as its key, and ends when the hypervisor has done it", async () => {
    const plan = await given.planned();
    const run = given.worker();

    expect(await given.settled(plan)).toBe(false);
    expect(await run.finish(plan)).toEqual({ kind: "done", already: false });

    expect(given.hypervisor.mutations()).toMatchObject([
      {
        path: "/api/v1/containers/web/action?project=shop",
        key: "run_1",
        body: '{"action":"restart"}',
      },
    ]);
    expect(run.records).toEqual([
      { asks: "restart", idempotency_key: "run_1" },
      { operation: "op-1" },
    ]);
    expect(await given.settled(plan)).toBe(true);
  });

  test.each([
    ["never answers", "late"],
    ["breaks the connection before it did anything", "reset"],
    ["does not answer, and did nothing", "hang"],
    ["is overloaded", { status: 503, headers: { "retry-after": "7" } }],
  ] as const)("happens once when the hypervisor %s", async (_what, fault) => {
    const plan = await given.planned();
    const run = given.worker();
    given.hypervisor.faults.push({ when: POST, fault });

    await expect(run.apply(plan)).rejects.toMatchObject({ name: "ClusterError", retryable: true });
    expect(await run.finish(plan)).toMatchObject({ kind: "done", already: fault === "late" });

    expect(given.hypervisor.mutations()).toHaveLength(1);
  });

  test("of which the worker died before it heard the answer is found out, and not made again", async () => {
    const plan = await given.planned();
    const run = given.worker();
    await run.apply(plan);
    const before = { ...run.progress };
    run.progress = { askedAt: before["askedAt"] }; // the operation's name was lost with the worker

    expect(await run.finish(plan)).toEqual({ kind: "done", already: true });
    expect(given.hypervisor.mutations()).toHaveLength(1);
  });

  test("asked for by a worker that was held up, after another had it done, has no second effect", async () => {
    const plan = await given.planned();
    const slow = given.worker();
    const quick = given.worker();
    slow.progress = { askedAt: new Date(START).toISOString() };
    await quick.finish(plan);
    given.web().started_at = "2026-11-20T10:00:00Z"; // as if it had read before the other's call

    await slow.apply(plan);

    expect(given.hypervisor.mutations()).toHaveLength(1);
  });

  test("is not asked for when somebody else restarted it since the plan was made", async () => {
    const plan = await given.planned();
    given.web().started_at = "2026-11-21T02:59:00Z";

    expect(await given.worker().finish(plan)).toMatchObject({
      kind: "stale",
      why: "it was started anew at 2026-11-21T02:59:00Z, by somebody else",
    });
    expect(given.hypervisor.mutations()).toEqual([]);
  });

  test.each<[string, () => void, string]>([
    [
      "was made anew",
      () =>
        given.hypervisor.containers.set("shop/web", {
          id: "c-2",
          status: "running",
          started_at: "2026-11-21T02:00:00Z",
        }),
      "made anew",
    ],
    [
      "was deleted",
      () => given.hypervisor.containers.delete("shop/web"),
      "does not exist any more",
    ],
    [
      "was stopped",
      () => {
        given.web().status = "stopped";
      },
      "is stopped now",
    ],
  ])("is not asked for when the container %s", async (_what, change, why) => {
    const plan = await given.planned();
    change();

    expect(await given.worker().finish(plan)).toMatchObject({
      kind: "stale",
      why: expect.stringContaining(why),
    });
    expect(given.hypervisor.mutations()).toEqual([]);
  });

  test("waits while the hypervisor does something else, five minutes at most, and says so once", async () => {
    const plan = await given.planned();
    const run = given.worker();
    given.hypervisor.busy.set("shop/web", "a snapshot is being taken");

    expect(await run.finish(plan)).toMatchObject({
      kind: "refused",
      reason: "busy",
      why: expect.stringContaining("a snapshot is being taken (waited 3"),
    });
    expect(run.records).toHaveLength(2);
    expect(given.hypervisor.mutations()).toEqual([]);
  });

  test("is made when the hypervisor has time again", async () => {
    const plan = await given.planned();
    const run = given.worker();
    given.hypervisor.busy.set("shop/web", "a snapshot is being taken");
    expect(await run.apply(plan)).toMatchObject({ kind: "wait" });
    expect(run.progress).toEqual({ waitingSince: new Date(START).toISOString() });
    given.hypervisor.busy.clear();

    expect(await run.finish(plan)).toEqual({ kind: "done", already: false });
  });

  test("whose operation failed is a failure, in the hypervisor's words", async () => {
    const plan = await given.planned();
    given.hypervisor.operations.end = { status: "failed", error: "no space left on device" };

    expect(await given.worker().finish(plan)).toEqual({
      kind: "refused",
      reason: "operation_failed",
      why: "no space left on device",
    });
    expect(await given.settled(plan)).toBe(false);
  });

  test("whose operation does not end is left to the verification after a minute", async () => {
    const plan = await given.planned();
    const run = given.worker();
    given.hypervisor.operations.looks = 1_000;
    given.web().started_at = "2026-11-20T10:00:00Z";
    given.hypervisor.operations.end = { status: "in_progress" };

    expect(await run.finish(plan)).toEqual({ kind: "done", already: false });
    expect(run.seconds).toBeGreaterThan(60);
    expect(await given.settled(plan)).toBe(false);
  });

  test("whose operation nobody may see is judged by the container", async () => {
    const plan = await given.planned();
    const run = given.worker();
    given.hypervisor.operations.end = { status: "in_progress" };
    await run.apply(plan);
    given.hypervisor.faults.push({ when: /^GET \/progress/, fault: { status: 403 } });

    expect(await run.apply(plan)).toEqual({ kind: "done", already: false });
  });

  test("is not asked for when somebody says stop", async () => {
    const plan = await given.planned();
    const run = given.worker();
    run.stop = "ana switched * off";

    expect(await run.apply(plan)).toEqual({
      kind: "stopped",
      why: "ana switched * off",
      partial: false,
    });
    expect(run.records).toEqual([]);
    expect(given.hypervisor.mutations()).toEqual([]);
  });

  test("in a dry run is only checked, and leaves nothing behind", async () => {
    const plan = await given.planned(true);
    const run = given.worker();

    expect(await run.apply(plan)).toEqual({ kind: "checked" });
    expect(run.progress).toEqual({});
    expect(given.hypervisor.mutations()).toEqual([]);
  });
});
