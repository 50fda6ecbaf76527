import { expect, test } from "@jest/globals";
import { Journal } from "../../detector/journal.ts";
import type { AnomalyStore } from "../../detector/types/store.ts";
import { silentLog } from "../../lib/log.ts";
import { anomaly, delivery } from "./given-anomaly.ts";

function given(waitingMax?: number): {
  readonly journal: Journal;
  readonly written: string[];
  readonly database: { up: boolean; refuses: boolean };
  readonly counted: { dropped: number };
} {
  const written: string[] = [];
  const database = { up: true, refuses: false };
  const counted = { dropped: 0 };
  const write = async (line: string): Promise<void> => {
    if (!database.up) throw Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    if (database.refuses) throw new Error("invalid input syntax");
    written.push(line);
  };
  const store: Pick<AnomalyStore, "open" | "close" | "settle" | "saveProgress"> = {
    open: async ({ id }, { headStartMs }) => {
      await write(headStartMs > 0 ? `open ${id}, later` : `open ${id}`);
      return id === "taken" ? "already_open" : "opened";
    },
    close: async ({ id }) => {
      await write(`close ${id}`);
      return "closed";
    },
    settle: async ({ anomaly: { id }, status }, result) => write(`${result} ${id} ${status}`),
    saveProgress: async () => write("progress"),
  };
  const journal = new Journal({
    store: store,
    metrics: { writeDropped: () => void (counted.dropped += 1) },
    log: silentLog,
    ...(waitingMax === undefined ? {} : { waitingMax }),
  });
  return { journal, written, database, counted };
}

test("a row that exists already is reported, so that its alert is not sent twice", async () => {
  const { journal } = given();

  expect(await journal.open(anomaly({ id: "new" }))).toBe("stored");
  expect(await journal.open(anomaly({ id: "taken" }))).toBe("already_open");
});

test("while the database is down writes wait, and are made up for in order before any progress", async () => {
  const { journal, written, database } = given();
  database.up = false;
  expect(await journal.open(anomaly({ id: "a" }))).toBe("unstored");
  await journal.settled(delivery(anomaly({ id: "a" })), "delivered");
  await journal.flush([], []);
  expect([journal.waiting, journal.fault === undefined]).toEqual([2, false]);

  database.up = true;
  await journal.close(anomaly({ id: "a" }));
  expect(written).toEqual([]);
  await journal.flush([], []);

  expect(written).toEqual(["open a, later", "delivered a firing", "close a", "progress"]);
  expect([journal.waiting, journal.fault]).toEqual([0, undefined]);
});

test("the queue is bounded: the oldest write is dropped and counted", async () => {
  const { journal, written, database, counted } = given(2);
  database.up = false;
  for (const id of ["a", "b", "c"]) await journal.open(anomaly({ id }));
  database.up = true;
  await journal.flush([], []);

  expect(written).toEqual(["open b, later", "open c, later", "progress"]);
  expect(counted.dropped).toBe(1);
});

test("a write that the database refuses for good does not block the others", async () => {
  const { journal, written, database, counted } = given();
  database.refuses = true;
  expect(await journal.open(anomaly({ id: "bad" }))).toBe("unstored");
  database.refuses = false;
  expect(await journal.open(anomaly({ id: "good" }))).toBe("stored");

  expect(written).toEqual(["open good"]);
  expect(counted.dropped).toBe(1);
});

test("without a database nothing waits", async () => {
  const journal = new Journal({
    store: undefined,
    metrics: { writeDropped: () => undefined },
    log: silentLog,
  });

  expect(await journal.open(anomaly())).toBe("unstored");
  await journal.flush([], []);
  expect(journal.waiting).toBe(0);
});
