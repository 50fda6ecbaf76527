import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { givenContainer, WEB, type GivenContainer } from "../given-container.ts";

const POST = /^POST/;

let given: GivenContainer;
beforeEach(async () => {
  given = await givenContainer();
});
afterEach(async () => {
  await given.hypervisor.stop();
});

test.each<[number, Readonly<Record<string, string>>, object]>([
  [400, {}, { retryable: false, reason: "invalid" }],
  [401, {}, { retryable: false, reason: "unauthorized" }],
  [403, {}, { retryable: false, reason: "forbidden" }],
  [408, {}, { retryable: true }],
  [429, { "retry-after": "12" }, { retryable: true, reason: "throttled", retryAfterMs: 12_000 }],
  [500, {}, { retryable: true }],
  [503, { "retry-after": "3" }, { retryable: true, retryAfterMs: 3_000 }],
])("with %i is told apart", async (status, headers, expected) => {
  const plan = await given.planned();
  const body = JSON.stringify({ title: "No", detail: `because of ${status}` });
  given.hypervisor.faults.push({ when: POST, fault: { status, headers, body } });

  await expect(given.worker().apply(plan)).rejects.toMatchObject({
    ...expected,
    status,
    message: `cannot restart container shop/web: because of ${status}`,
  });
});

test("and no error holds the token", async () => {
  const canary = "canary-hypervisor-token";

  await expect(given.prepare(WEB, { token: canary })).rejects.toMatchObject({
    reason: "unauthorized",
    message: expect.not.stringContaining(canary),
  });
});

test.each([
  ["something that is no container", "[]"],
  [
    "another container",
    '{"name":"db","id":"c-9","status":"running","started_at":"2026-11-20T10:00:00Z"}',
  ],
  ["an endless answer", "x".repeat(300 * 1024)],
])("is also %s", async (_what, body) => {
  given.hypervisor.faults.push({ when: /^GET/, fault: { status: 200, body } });

  await expect(given.prepare()).rejects.toThrow("cannot read container shop/web");
});
