import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { targetOf } from "../../runbooks/match.ts";
import { fettle, waitUntil } from "../fakes/fettle.ts";
import { sender } from "../fakes/sender.ts";
import { HOSTILE_TEXTS } from "../fixtures/hostile-texts.ts";
import {
  ACTING,
  count,
  givenProcesses,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../runbooks/given-processes.ts";

/** Labels that say what an alert is about. */
const NAMING = [
  "namespace",
  "app",
  "deployment",
  "statefulset",
  "daemonset",
  "pod",
  "container",
  "project",
  "cluster",
];
const GOOD = { metric: "latency_p99", reason: "level_shift", namespace: "shop", app: "app-1" };

let world: GivenProcesses;

beforeAll(async () => {
  world = await givenProcesses({ apps: ["app-1"], env: ACTING });
  const one = sender(4);
  const sent = HOSTILE_TEXTS.flatMap((text, at) => [
    ...NAMING.map((name) => frame(`${at}-${name}`, { ...GOOD, [name]: text }, text)),
    frame(
      `${at}-metric`,
      { ...GOOD, metric: text, reason: text, [text.slice(0, 100)]: text },
      text,
    ),
  ]);
  const url = `${world.services[0].url}/alertmanager`;
  const answers = await Promise.all(sent.map(async (body) => one.alert(url, body, PROCESS_TOKEN)));
  one.close();
  const refused = answers.filter(({ status }) => status !== 202);
  if (refused.length > 0) throw new Error(`answered ${JSON.stringify(refused[0])}`);
  await waitUntil("all to be looked at", async () => {
    return (await count(world.database, "inbox WHERE processed_at IS NULL")) === 0;
  });
});
afterAll(async () => world.stop());

function frame(fingerprint: string, labels: Record<string, string>, text: string): string {
  const alert = {
    status: "firing",
    labels: { alertname: "AIOpsAnomalyDetected", ...labels },
    annotations: { summary: text, description: text },
    startsAt: "2026-11-21T03:00:00Z",
    generatorURL: text,
    fingerprint,
  };
  const group = {
    version: "4",
    receiver: text,
    status: "firing",
    groupKey: text,
    externalURL: text,
  };
  return JSON.stringify({ ...group, alerts: [alert] });
}

test("no alert is about a workload whose name is no name", () => {
  for (const text of HOSTILE_TEXTS) {
    for (const name of NAMING) {
      const found = targetOf({ labels: { ...GOOD, [name]: text } }, "default");
      if (found.kind === "none") continue;
      const { namespace, name: workload, app } = found.target;
      for (const part of [namespace, workload, app]) expect(part).toMatch(/^[a-z0-9.-]{1,253}$/);
      expect(workload).not.toContain("..");
    }
  }
});

test("nothing of them stands in an address of the cluster, and nothing is changed there", async () => {
  await waitUntil("the runs of what could be named", async () => {
    return (
      (await count(
        world.database,
        "runs WHERE state IN ('matched', 'collecting', 'collected')",
      )) === 0
    );
  });
  const paths = world.kubernetes.requests.map(({ path, query }) => path + JSON.stringify(query));

  expect(paths.length).toBeGreaterThan(0); // of the one that is there
  for (const path of paths) expect(path).not.toMatch(/\.\.|%2e|%2f|reboot|evil|SUM|script|calc/i);
  expect(world.kubernetes.mutations()).toEqual([]);
});

test("each line of the log is one object of JSON, whatever stands in it", () => {
  const lines = world.services[0]
    .output()
    .split("\n")
    .filter((line) => line !== "");

  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines)
    expect(JSON.parse(line)).toMatchObject({ level: expect.anything(), service: "runbooks" });
});

test("a spreadsheet calculates nothing out of the exported record, and sees the rows that there are", async () => {
  // Whoever opens a run by hand, or writes a reason, may write anything there.
  await world.database.query(
    `INSERT INTO runbooks_audit (event, actor, namespace, app, target, action, detail, correlation_id)
     SELECT 'disabled', text, text, text, text, text, jsonb_build_object('why', text), text
       FROM unnest($1::text[]) AS text`,
    [HOSTILE_TEXTS.map((text) => text.replaceAll("\u0000", "").toWellFormed())],
  );
  const { code, stdout } = await fettle(["audit", "export", "--format", "csv"], {
    AIOPS_DATABASE_URL: world.databaseUrl,
  });
  expect(code).toBe(0);

  const [header = [], ...rows] = parseCsv(stdout);
  expect(rows).toHaveLength(await count(world.database, "runbooks_audit"));
  for (const row of rows) {
    expect(row).toHaveLength(header.length);
    for (const cell of row) expect(cell).not.toMatch(/^[=+@\t\r\n-]/);
  }
});

/** RFC 4180, as a spreadsheet reads it. */
function parseCsv(text: string): readonly (readonly string[])[] {
  return text
    .split(/\r\n(?=(?:[^"]*"[^"]*")*[^"]*$)/)
    .filter((line) => line !== "")
    .map((line) =>
      [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
        ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
      ),
    );
}
