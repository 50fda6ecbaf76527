import { expect, test } from "@jest/globals";
import { Journal, type JournalStore } from "../../detector/journal.ts";
import { silentLog } from "../../lib/log.ts";
import { anomaly, delivery } from "./given-anomaly.ts";

interface GivenTenure {
  readonly metric: string;
  epoch: string | undefined;
  over: boolean;
}

/** A journal of one metric whose database and tenure a test changes. */
function given({ asked = true } = {}) {
  const written: string[] = [];
  const database = { up: true, loseAnswers: 0, epoch: "7" };
  const tenure: GivenTenure = {
    ...{ metric: "latency_p99", over: false },
    epoch: asked ? database.epoch : undefined,
  };
  const stored = new Set<string>();
  const reach = (): void => {
    if (!database.up) throw Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
  };
  const answer = <T>(value: T): T => {
    if (database.loseAnswers === 0) return value;
    database.loseAnswers -= 1;
    throw new Error("Query read timeout");
  };
  const store: JournalStore = {
    open: async ({ id }, _mailing, fence) => {
      reach();
      if (fence !== database.epoch) return answer("not_owner");
      const isNew = !stored.has(id);
      stored.add(id);
      if (isNew) written.push(`open ${id}`);
      return answer(isNew ? "opened" : "already_open");
    },
    close: async ({ id }, _mailing, fence) => {
      reach();
      if (fence !== database.epoch) return "not_owner";
      written.push(`close ${id}`);
      return "closed";
    },
    settle: async ({ anomaly: { id }, status }, result) => {
      reach();
      written.push(`${result} ${id} ${status}`);
    },
    saveProgress: async (progress) => {
      reach();
      written.push(...progress.map((one) => `progress ${one.name} ${one.evaluatedUntil}`));
    },
  };
  /** Looks at the database, as a beat does. */
  const confirm = async (): Promise<boolean> => {
    if (database.up && tenure.epoch !== undefined && tenure.epoch !== database.epoch) {
      tenure.over = true;
    }
    return database.up;
  };
  const journal = new Journal({
    store,
    leases: { tenureOf: (name) => (name === tenure.metric ? tenure : undefined), confirm },
    metrics: { writeDropped: () => undefined },
    log: silentLog,
  });
  return { journal, written, database, tenure };
}

const AT = { name: "latency_p99", expr: "x", evaluatedUntil: 5 };

test("what another replica owns is neither written nor told from here", async () => {
  const { journal, written, tenure } = given();
  tenure.over = true;

  expect(await journal.open(anomaly({ id: "a" }))).toBe("already_open");
  expect(await journal.close(anomaly({ id: "a" }))).toBe("stored");
  expect(await journal.open(anomaly({ id: "b", metric: "never ours" }))).toBe("already_open");
  await journal.flush([AT], []);

  expect(written).toEqual([]);
  expect(journal.waiting).toBe(0);
});

test("a lease that was lost unnoticed is noticed by the write itself", async () => {
  const { journal, written, database } = given();
  database.epoch = "8";

  expect(await journal.open(anomaly({ id: "a" }))).toBe("already_open");
  expect(await journal.close(anomaly({ id: "a" }))).toBe("stored");

  expect(written).toEqual([]);
});

test("a thawed process whose connections are dead asks who owns the group before it tells anything", async () => {
  const { journal, database } = given();
  database.epoch = "8";
  database.loseAnswers = 1;

  expect(await journal.open(anomaly({ id: "a" }))).toBe("already_open");
  expect(journal.waiting).toBe(0);
});

test("a row that was committed without an answer is told once: by its mail, not from memory", async () => {
  const { journal, written, database } = given();
  database.loseAnswers = 1;

  expect(await journal.open(anomaly({ id: "a" }))).toBe("already_open");
  expect(written).toEqual(["open a"]);
});

test("writes that waited for a database in which the group is another's by now are left out; what was sent is not", async () => {
  const { journal, written, database, tenure } = given();
  database.up = false;
  expect(await journal.open(anomaly({ id: "a" }))).toBe("unstored");
  await journal.settled(delivery(anomaly({ id: "a" })), "delivered");
  expect(journal.isWritten("latency_p99")).toBe(false);
  database.up = true;
  tenure.over = true;

  await journal.flush([AT], []);

  expect(written).toEqual(["delivered a firing"]);
  expect(journal.waiting).toBe(0);
});

test("what is found before the database could be asked is told from memory, and written under the epoch that it gives", async () => {
  const { journal, written, tenure } = given({ asked: false });
  expect(await journal.open(anomaly({ id: "a" }))).toBe("unstored");
  await journal.settled(delivery(anomaly({ id: "a" })), "delivered");
  await journal.flush([AT], []);
  expect(written).toEqual([]);

  tenure.epoch = "7";
  await journal.flush([AT], []);

  expect(written).toEqual(["open a", "delivered a firing", "progress latency_p99 5"]);
  expect(journal.isWritten("latency_p99")).toBe(true);
});
