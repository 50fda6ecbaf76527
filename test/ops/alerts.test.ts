import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startAlertmanager } from "../servers/alertmanager.ts";
import { MADE_UP, REAL } from "./alert-table.ts";
import {
  choosePorts,
  givenServices,
  targetOf,
  WEBHOOK_TOKEN,
  type Services,
} from "./given-services.ts";
import { startTrouble, type Trouble } from "./given-trouble.ts";
import { startWatching, type Watching } from "./given-watching.ts";

const FOLDER = "ops/prometheus/rules";
const DEADLINE_MS = 90_000;
/** Of 100 ms or more. */
const ROUNDS_PER_MISTAKE = 20;
/** Whoever changes a row in the past does it again, should another have come meanwhile. */
const LETTERS_OF_TEN_MINUTES_AGO =
  "UPDATE runbooks_outbox SET created_at = now() - interval '10 minutes' WHERE result IS NULL";

/** Of 50,000 deliveries that are taken, and that nobody looks at. */
const NEARLY_FULL = 40_001;

let rules: readonly string[];
let trouble: Trouble;
let watching: Watching;
let services: Services;
let endTransaction: () => Promise<void>;
/** The last first. */
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const names = await readdir(FOLDER);
  rules = await Promise.all(names.map(async (name) => readFile(join(FOLDER, name), "utf8")));
  trouble = await startTrouble();
  stops.unshift(trouble.stop);
  const ports = await choosePorts();
  const alertmanager = await startAlertmanager({
    receiverUrl: `http://${targetOf(ports, "receiver")}/alertmanager`,
    bearerToken: WEBHOOK_TOKEN,
  });
  stops.unshift(alertmanager.stop);
  watching = await startWatching({ rules, trouble, ports, alertmanagerUrl: alertmanager.url });
  stops.unshift(watching.stop);
  services = await givenServices(ports, watching.url);
  stops.unshift(async () => services.stop());
}, DEADLINE_MS);

afterAll(async () => {
  for (const stop of stops) await stop();
});

test("each alert is had from a running service, or it is said why not", () => {
  const all = rules.flatMap((text) =>
    [...text.matchAll(/- alert: (\w+)/g)].map(([, name]) => name ?? ""),
  );

  expect([...Object.keys(REAL), ...Object.keys(MADE_UP)].sort()).toEqual([...all].sort());
});

test(
  "what was wrong before the services were started is told, and no more when it is put right",
  async () => {
    await services.sql(`INSERT INTO runbooks_audit (event, actor, detail) VALUES ('approved', 'ana', '{}');
      ${tamper("ana", "nobody")};
      INSERT INTO audit_exports (export_id, state, file_name, stored_name, formula, horizon_xid, last_xid, last_id, cutoff, rows, done_at)
      VALUES (gen_random_uuid(), 'done', 'old.csv', 'old.csv', 'escape', '1', '1', 0, now(), 0, now() - interval '3 days');
      INSERT INTO audit_drills (recipient, destination, last_ok_at, file_name)
      VALUES ('safe', 'folder', now() - interval '3 days', 'old.csv')`);
    await services.mountExports(false);
    await Promise.all([
      services.start("receiver"),
      services.start("executor"),
      services.start("hypervisor"),
      services.start("exporter", { AUDIT_EXPORT_CRON: "*/2 * * * * *" }),
      services
        .start("detector", {
          AIOPS_METRICS: "one=vector(1)",
          AIOPS_RETRAIN_CRON: "*/2 * * * * *",
        })
        .then(async () => services.detectorDatabase.setMode({ kind: "refuse" })),
    ]);
    expect(
      await watching.silentOf([
        "AuditDecryptDrillOverdue",
        "AuditExportFailing",
        "AuditExportOverdue",
        "DetectorTrainingOverdue",
        "DrillNotRunRecently",
        "RunbooksAuditProblems",
        "RunbooksAuditUnverified",
      ]),
    ).toEqual([]);

    for (const name of ["detector", "exporter", "executor"] as const) await services.kill(name);
    expect(await watching.silentOf(["BackendDown"])).toEqual([]);

    await services.sql(`${tamper("nobody", "ana")};
      DELETE FROM audit_checks;
      UPDATE audit_drills SET last_ok_at = now()`);
    await services.mountExports(true);
    await services.detectorDatabase.setMode({ kind: "pass" });
    await Promise.all(
      (["detector", "exporter", "executor"] as const).map(async (name) =>
        services.start(name, name === "exporter" ? { AUDIT_EXPORT_CRON: "*/2 * * * * *" } : {}),
      ),
    );
    expect(await services.reportDrill()).toBe(200);
    expect(await watching.firingAtTheEnd()).toEqual(["Watchdog"]);
  },
  4 * DEADLINE_MS,
);

test(
  "what goes wrong while they run is told",
  async () => {
    const closeConnections = services.openConnections();
    services.webhook.answer(403);
    services.slack.answer(503);
    services.bucket.setFault({ kind: "status", status: 503, code: "SlowDown" });
    process.kill(services.pidOf("receiver"), "SIGUSR2");
    endTransaction = await services.openTransaction();
    await services.sql(`INSERT INTO runbooks_audit (event, actor, detail, ts)
      VALUES ('approved', 'ana', '{}', now() - interval '2 days')`);
    trouble.begin();
    expect(
      await watching.silentOf(
        [
          ...Object.keys(MADE_UP),
          "AIOpsAnomalyDetected",
          "AuditExportHeldBack",
          "DetectorChannelLate",
          "DetectorSeriesRefused",
          "FettleServiceAbsent",
          "PrometheusRulesFailing",
          "RunbooksCatalogUnreadable",
          "RunbooksChannelLate",
          "RunbooksClockSkewed",
          "RunbooksConnectionsRefused",
          "RunbooksDiagnosticsPending",
          "RunbooksPolicyStale",
          "RunbooksRunNeedsPerson",
        ],
        async (round) => {
          await services.sql(LETTERS_OF_TEN_MINUTES_AGO);
          if (round % ROUNDS_PER_MISTAKE !== 0) return;
          services.writePolicy(`queue=${round}`); // a mistake is counted once, when it is found
          await services.writeCatalog(`runbooks: [ # ${round}`);
        },
      ),
    ).toEqual([]);
    closeConnections();
  },
  4 * DEADLINE_MS,
);

test(
  "what they depend on going away is told",
  async () => {
    services.webhook.answer(415);
    await services.detectorSql(`
      UPDATE aiops_groups SET owner = 'gone', epoch = epoch + 1, lease_until = now() + interval '1 hour' WHERE metric = 'nothing';
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON aiops_progress FOR EACH STATEMENT EXECUTE FUNCTION refuse()`);
    await services.kill("executor");
    await services.sql(`INSERT INTO inbox (source, body_sha256, raw, content)
      SELECT 'flood', n::text, '', '{"alerts": []}' FROM generate_series(1, ${NEARLY_FULL}) n`);
    await services.sql(readOnly("on"));
    expect(
      await watching.silentOf([
        "AlertmanagerNotDelivering",
        "DetectorAlertsUndelivered",
        "DetectorHistoryDropped",
        "DetectorMetricUnwatched",
        "FettleRequestsFailing",
        "RunbooksDatabaseUnwritable",
        "RunbooksInboxNearlyFull",
        "RunbooksInboxWaiting",
      ]),
    ).toEqual([]);
    services.prometheus.answer(503);
    expect(await watching.silentOf(["DetectorQueriesFailing"])).toEqual([]);
  },
  4 * DEADLINE_MS,
);

test(
  "nothing is told any more when all of it is over",
  async () => {
    await services.sql(readOnly("off"));
    await services.sql(`DELETE FROM inbox WHERE source = 'flood';
      UPDATE runbooks_outbox SET next_at = now();
      UPDATE runbooks_channels SET next_at = now();
      UPDATE collections SET next_at = now() WHERE next_at IS NOT NULL`);
    await services.detectorSql(`DROP TRIGGER refuse ON aiops_progress;
      UPDATE aiops_groups SET lease_until = now() - interval '1 second' WHERE owner = 'gone'`);
    await endTransaction();
    for (const relay of [services.webhook, services.slack, services.prometheus])
      relay.answer(undefined);
    services.bucket.setFault({ kind: "none" });
    services.writePolicy();
    await services.writeCatalog();
    process.kill(services.pidOf("receiver"), "SIGUSR2");
    trouble.end();
    await services.start("executor");
    expect(await watching.firingAtTheEnd()).toEqual(["Watchdog"]);

    expect([...(await watching.toldInAll())].sort()).toEqual(
      [...Object.keys(REAL), ...Object.keys(MADE_UP)].sort(),
    );
  },
  4 * DEADLINE_MS,
);

/** For the runbooks, the exporter and the hypervisor. A session stays as it was when it was opened, so they need new ones. */
function readOnly(value: "on" | "off"): string {
  return `DO $$ BEGIN
      EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ${value}', current_database());
      PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE 'fettle%' AND datname = current_database();
    END $$`;
}

/** Changes the record as only a superuser can. */
function tamper(from: string, to: string): string {
  return `ALTER TABLE runbooks_audit DISABLE TRIGGER USER;
    UPDATE runbooks_audit SET actor = '${to}' WHERE actor = '${from}' AND event = 'approved';
    ALTER TABLE runbooks_audit ENABLE TRIGGER USER`;
}
