import { expect, test } from "@jest/globals";
import { exceeded, storedQuotas } from "../../../hypervisor/people/quota.ts";
import type { PlatformEvent } from "../../../hypervisor/types.ts";

test.each([
  ["no limit", {}, { containers: 1_000 }, { containers: 1 }, undefined],
  ["room to the last one", { containers: 3 }, { containers: 2 }, { containers: 1 }, undefined],
  [
    "one too many",
    { containers: 3 },
    { containers: 3 },
    { containers: 1 },
    "containers would be 4 of 3",
  ],
  ["none at all", { cpu: 0 }, {}, { cpu: 0.5 }, "cpu would be 0.5 of 0"],
  [
    "less than before, over a limit set later",
    { memory_mb: 100 },
    { memory_mb: 500 },
    { memory_mb: -200 },
    undefined,
  ],
  [
    "something else over its limit",
    { memory_mb: 100 },
    { memory_mb: 500 },
    { containers: 1 },
    undefined,
  ],
])("%s", (_what, quota, used, wish, expected) => {
  expect(exceeded(quota, used, wish)).toBe(expected);
});

test("what is over a VDC's quota is refused with the limit, and its people are told by an event", async () => {
  const told: PlatformEvent[] = [];
  const query = async () =>
    Promise.resolve({
      rows: [
        { kind: "VDC", id: "v", organization: "o", quota: { containers: 1 }, projects: ["p"] },
        { kind: "Organization", id: "o", organization: "o", quota: {}, projects: ["p"] },
      ],
      rowCount: 2,
    });
  const quotas = storedQuotas(
    { query: query as never },
    {
      record: async (event) => {
        told.push(event);
        return Promise.resolve();
      },
    },
  );

  const scopes = await quotas.scopesOf("p");
  const [scope] = scopes;
  if (scope === undefined) throw new Error("no limits hold");
  expect(scopes).toHaveLength(1); // whoever limits nothing is not asked
  await expect(quotas.check(scope, { containers: 1 }, { containers: 1 })).rejects.toMatchObject({
    status: 403,
    detail: "VDC v: containers would be 2 of 1",
  });
  expect(told).toEqual([
    expect.objectContaining({
      type: "Warning",
      reason: "QuotaExceeded",
      kind: "VDC",
      name: "v",
      namespace: "o",
    }),
  ]);
});
