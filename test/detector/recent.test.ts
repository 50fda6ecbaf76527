import { expect, test } from "@jest/globals";
import { createRecentAnomalies } from "../../detector/recent.ts";
import { anomaly } from "./given-anomaly.ts";

test("what is in memory is listed as the database lists it: newest first, ties by id, page by page", async () => {
  const recent = createRecentAnomalies();
  for (const [id, openedAt] of [
    ["b", 2],
    ["c", 1],
    ["a", 2],
    ["d", 3],
  ] as const)
    recent.remember(anomaly({ id, openedAt }));
  recent.remember(anomaly({ id: "c", openedAt: 1, closedAt: 9, closeCause: "recovered" }));
  const ids = async (filter: Parameters<typeof recent.list>[0]) =>
    (await recent.list(filter)).map(({ id }) => id);

  expect(await ids({ limit: 9 })).toEqual(["d", "a", "b", "c"]);
  expect(await ids({ limit: 2, after: { openedAt: 2, id: "a" } })).toEqual(["b", "c"]);
  expect(await ids({ limit: 9, state: "open", after: { openedAt: 2, id: "a" } })).toEqual(["b"]);
});
