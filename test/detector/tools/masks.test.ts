import { expect, test } from "@jest/globals";
import { isMasked, leftOut, masksOf } from "../../../detector/tools/masks.ts";
import type { Mask } from "../../../detector/types/training.ts";

const time = { from: 100, to: 200 };
const run: Mask = { namespace: "shop", app: "checkout", cause: "runbook", ...time };

test.each<[string, Record<string, string>, boolean]>([
  ["of the workload", { namespace: "shop", app: "checkout", pod: "p1" }, true],
  ["of the workload by its deployment", { namespace: "shop", deployment: "checkout" }, true],
  ["of the workload by its job", { namespace: "shop", job: "checkout" }, true],
  ["of the workload by its stateful set", { namespace: "shop", statefulset: "checkout" }, true],
  ["of the workload by its daemon set", { namespace: "shop", daemonset: "checkout" }, true],
  ["of a container of the hypervisor's", { project: "shop", container: "checkout" }, true],
  ["of another container", { project: "shop", container: "cart" }, false],
  ["of a pod's container", { project: "shop", container: "checkout", pod: "p1" }, false],
  ["of another workload", { namespace: "shop", app: "cart" }, false],
  ["of another namespace", { namespace: "bank", app: "checkout" }, false],
  ["of the whole namespace", { namespace: "shop" }, true],
  ["that adds up everything", {}, false],
])("a runbook's action masks a series %s as it should", (_name, labels, masked) => {
  expect(masksOf({ metric: "m", series: "s", labels }, [run])).toEqual(masked ? [run] : []);
});

test("a mask holds from its first to its last moment", () => {
  expect([99, 100, 200, 201].map((t) => isMasked([run], t))).toEqual([false, true, true, false]);
  expect(isMasked([{ ...run, to: Infinity }], 1e15)).toBe(true);
});

test("only masks that took something away are stated, the newest first, and a bounded number of them", () => {
  const points = Array.from({ length: 100 }, (_, at) => ({ t: at * 10, value: 1 }));
  const labels = { namespace: "shop", app: "checkout" };
  const history = [{ query: { name: "m", expr: "m" }, series: [{ labels, points }] }];
  const before = { ...run, from: -20, to: -10 };
  const many = Array.from({ length: 150 }, (_, at) => ({ ...run, from: at }));
  const open: Mask = { metric: "m", from: 500, to: Infinity, cause: "unlabelled" };

  const stated = leftOut(history, [...many, open, before, { ...run, app: "cart" }]);

  expect(stated.windows).toBe(151);
  expect(stated.list).toHaveLength(100);
  expect(stated.list.slice(0, 2)).toEqual([
    { metric: "m", cause: "unlabelled", from: "1970-01-01T00:00:00.500Z", to: null },
    {
      ...{ namespace: "shop", app: "checkout", cause: "runbook" },
      ...{ from: "1970-01-01T00:00:00.149Z", to: "1970-01-01T00:00:00.200Z" },
    },
  ]);
});
