import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { exportOnce, verifyFiles, type ExporterConfig } from "../../exporter/main.ts";
import { systemClock } from "../../lib/clock.ts";
import { armFailpoint } from "../../lib/failpoint.ts";
import { silentLog } from "../../lib/log.ts";
import { givenSigningKey, type SigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, column, folderConfig, rowsOf } from "./given.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

let trail: Trail;
let key: SigningKey;
let config: ExporterConfig;

beforeEach(async () => {
  trail = await givenTrail();
  key = await givenSigningKey(trail.folder);
  config = await folderConfig(trail.folder, trail.url, { AUDIT_SIGNING_KEY_FILE: key.file });
  // Whoever asks the database for the time is told another one.
  await trail.client.query(`
    CREATE SCHEMA other_time;
    CREATE TABLE other_time.off_by (days int);
    INSERT INTO other_time.off_by VALUES (0);
    CREATE FUNCTION other_time.now() RETURNS timestamptz LANGUAGE sql STABLE AS
      $$ SELECT pg_catalog.clock_timestamp() + (SELECT days * interval '1 day' FROM other_time.off_by) $$;
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = other_time, pg_catalog, public', current_database()); END $$`);
});
afterEach(async () => {
  armFailpoint(undefined);
  jest.restoreAllMocks();
  await trail.remove();
});

const setDatabase = async (days: number) =>
  trail.client.query("UPDATE other_time.off_by SET days = $1", [days]);
const setExporter = (days: number) =>
  jest.spyOn(systemClock, "now").mockImplementation(() => new Date(Date.now() + days * DAY_MS));

/** What each manifest says of the time, as days from now, in the manifests' order. */
async function cutoffs(): Promise<readonly number[]> {
  const out = join(trail.folder, "out");
  const notes = (await readdir(out)).filter((name) => name.endsWith(".manifest.note"));
  const texts = await Promise.all(notes.map(async (name) => readFile(join(out, name), "utf8")));
  return texts
    .map((text) => JSON.parse(text.slice(0, text.lastIndexOf("\n\n"))) as Manifest)
    .toSorted((a, b) => a.sequence - b.sequence)
    .map(({ cutoff }) => Math.round((Date.parse(cutoff) - Date.now()) / DAY_MS) || 0);
}

interface Manifest {
  readonly sequence: number;
  readonly cutoff: string;
}

test("clocks that jump before, between and in the middle of runs lose no row and double none; a manifest's time is the database's", async () => {
  const runs: (string | null)[] = [];
  const exportWith = async (actor: string, before: number, during: number) => {
    await setDatabase(before);
    setExporter(-before);
    await addRows(trail.client, 3_000, actor);
    let jumped: Promise<unknown> | undefined;
    const result = await exportOnce(config, silentLog, {
      onProgress: ({ bytes }) => {
        if (bytes === 0 || jumped !== undefined) return;
        setExporter(during);
        jumped = setDatabase(-during);
      },
    });
    await jumped;
    expect(result).toMatchObject({ outcome: "exported", rows: 3_000, resumed: false });
    runs.push(...column(await rowsOf(trail.folder, result), "run_id"));
  };

  await exportWith("right", 0, 0);
  await exportWith("ahead", 400, -400);
  await exportWith("behind", -400, 400);
  await exportWith("right-again", 0, 0);
  setExporter(5_000);
  const none = await exportOnce(config, silentLog);

  expect(none).toMatchObject({ outcome: "nothing-new" });
  expect(runs).toHaveLength(12_000);
  expect(new Set(runs).size).toBe(12_000);
  expect(await cutoffs()).toEqual([0, 400, -400, 0, 0]);
  const report = await verifyFiles({
    files: [join(trail.folder, "out")],
    publicKeyFile: key.publicKeyFile,
    localKeyFile: join(trail.folder, "kek"),
  });
  expect(report.problems).toEqual([]);
  expect(report.manifests.map(({ rows, rowsChecked }) => [rows, rowsChecked])).toEqual([
    ...Array.from({ length: 4 }, () => [3_000, true]),
    [0, true],
  ]);
});

test("a run that a clock overtook by weeks is finished with the same rows, although its files were thought to be nobody's", async () => {
  await addRows(trail.client, 3);
  armFailpoint("export-uploaded:throw");
  await expect(exportOnce(config, silentLog)).rejects.toThrow("failpoint");
  armFailpoint(undefined);
  setExporter(30);
  await setDatabase(30);

  const result = await exportOnce(config, silentLog);

  expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: 3 });
  expect(await rowsOf(trail.folder, result)).toHaveLength(4);
  expect(await cutoffs()).toEqual([0]);
  expect(await readdir(join(trail.folder, "work"))).toEqual([]);
});
