import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openLabelBook } from "../../detector/adapters/label-book.ts";
import { openStore } from "../../detector/adapters/postgres.ts";
import { mulberry32 } from "../../detector/random.ts";
import { seriesId } from "../../detector/series.ts";
import type { LabelName } from "../../detector/types/labels.ts";
import { anomaly, MAILING } from "../detector/given-anomaly.ts";
import { startFakePrometheus, type FakePrometheus } from "../fakes/prometheus.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenWorkplace, type Env, type Workplace } from "./given.ts";

const MINUTE = 60_000;
/** Five hours before the test began, every pod's value rose for an hour: half of them a little, half of them much. */
const INCIDENT = Math.floor(Date.now() / MINUTE - 300) * MINUTE;
const random = mulberry32(1);
const NOISE = Array.from({ length: 4_000 }, () => 6 * (random() - 0.5));
const PODS = [3, 3, 3, 12, 12, 12].map((add, at) => ({
  add,
  labels: { __name__: "latency", namespace: "shop", app: "checkout", pod: `p${at}` },
}));

let place: Workplace;
let prometheus: FakePrometheus;
let database: TestDatabase;
let env: Env;

beforeAll(async () => {
  place = await givenWorkplace();
  database = await createTestDatabase();
  prometheus = await startFakePrometheus(() =>
    PODS.map(({ labels, add }) => ({
      labels,
      value: (ms) => {
        const extra = ms >= INCIDENT && ms < INCIDENT + 60 * MINUTE ? add : 0;
        return 100 + (NOISE[(ms - INCIDENT) / MINUTE + 2_000] ?? 0) + extra;
      },
    })),
  );
  env = {
    ...{ PROM_URL: prometheus.url, AIOPS_METRICS: "latency=latency" },
    ...{ AIOPS_DATABASE_URL: database.url, AIOPS_BACKFILL_POINTS: "1500" },
  };
});

afterAll(async () => {
  await prometheus.stop();
  await database.drop();
  await place.remove();
});

/** What the running detector and a person have written about the first so many pods. */
async function givenLabels(labels: readonly LabelName[]): Promise<void> {
  const connection = openTestDatabase(database.url);
  try {
    await connection.query("DELETE FROM aiops_anomalies");
    for (const [at, label] of labels.entries()) {
      const series = seriesId(PODS[at]?.labels ?? {});
      const one = anomaly({ id: `a${at}`, metric: "latency", series, openedAt: INCIDENT });
      await openStore(connection).open(one, MAILING);
      await openLabelBook(connection).add(one.id, { label, by: "ana", note: undefined });
    }
  } finally {
    await connection.close();
  }
}

const PROPOSE = ["backtest", "detector", "--propose", "--from", "12h"];

test("a threshold is proposed that labels speak for, as a difference, and nothing is changed", async () => {
  const [wrong, real] = ["false_positive", "real"] as const;
  await givenLabels([wrong, wrong, wrong, real, real, real]);
  const html = join(place.folder, "proposal.html");

  const machine = await place.fettle([...PROPOSE, "--json", "--html", html], env);
  const person = await place.fettle(PROPOSE, env);

  expect(machine).toMatchObject({ code: 0, stderr: "" });
  const proposal = JSON.parse(machine.stdout) as { proposed: { threshold: number } };
  const { threshold } = proposal.proposed;
  expect(proposal).toMatchObject({
    labels: { real: 3, falsePositive: 3 },
    current: { threshold: 0.65, alerts: 6, precision: 0.5, recall: 1 },
    proposed: { alerts: 3, precision: 1, recall: 1 },
    lost: PODS.slice(0, 3).map(() => ({ metric: "latency", label: "false_positive" })),
    gained: [],
  });
  expect(threshold).toBeGreaterThan(0.65);
  expect(person.stdout).toMatch(/IN USE +PROPOSED\nthreshold +0\.65 +0\.\d+\nalerts +6 +3\n/);
  expect(person.stdout).toMatch(/alerts lost:\nOPENED/);
  expect(person.stdout).toContain("alerts gained: none");
  expect(person.stdout).toContain(
    `Nothing was changed. To take it: AIOPS_SCORE_THRESH=${threshold}`,
  );
  expect(await readFile(html, "utf8")).toContain("Labelled false_positive.");
});

test("labels that are content with the threshold change nothing", async () => {
  await givenLabels(["real", "real", "real", "real", "real"]);

  const { code, stdout } = await place.fettle(PROPOSE, env);

  expect(code).toBe(0);
  expect(stdout).toContain("The labels do not speak for another threshold. Nothing was changed.");
});

test("too few labels are refused, in words", async () => {
  await givenLabels(["real", "real", "false_positive", "expected_change"]);

  const { code, stdout, stderr } = await place.fettle([...PROPOSE, "--json"], env);

  expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
  expect(stderr).toContain(
    "3 anomalies of this time are labelled real or false_positive, 5 are needed",
  );
});
