import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { exportOnce, verifyFiles } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { startPrivatePostgres, type PrivatePostgres } from "../servers/postgres.ts";
import { givenSigningKey } from "./given-signing.ts";
import { addRows, column, connectTo, folderConfig, rowsOf, tempFolder } from "./given.ts";

const ROWS = 120_000;

let server: PrivatePostgres;
let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeAll(async () => {
  server = await startPrivatePostgres();
  await migrate(server.url, silentLog);
}, 60_000);
afterAll(async () => server.remove());
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => folder.remove());

async function addMore(actor: string): Promise<void> {
  const client = await connectTo(server.url);
  await addRows(client, ROWS, actor);
  await client.end();
}

test.each(["fast", "immediate"] as const)(
  "a server that is stopped (%s) in the middle of the rows leaves no file; when it is back, the next run has each row once",
  async (how) => {
    const { file, publicKeyFile } = await givenSigningKey(folder.path);
    const more = { AUDIT_SIGNING_KEY_FILE: file };
    const config = await folderConfig(folder.path, server.url, more);
    await addMore(how);
    let stopped: Promise<void> | undefined;
    const exporting = exportOnce(config, silentLog, {
      onProgress: ({ bytes }) => {
        if (bytes > 0) stopped ??= server.stop(how);
      },
    });

    await expect(exporting).rejects.toThrow(/terminat|Connection|closed|ECONN|shutting down/i);
    await stopped;
    const halfWritten = (await readdir(join(folder.path, "work"))).filter((name) =>
      name.startsWith("."),
    );
    const out = await readdir(join(folder.path, "out")).catch(() => []);
    await expect(exportOnce(config, silentLog)).rejects.toThrow(/ECONNREFUSED/);
    await server.start();
    const result = await exportOnce(config, silentLog);

    expect([halfWritten, out]).toEqual([[], []]);
    expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: ROWS });
    const runs = column(await rowsOf(folder.path, result), "run_id");
    expect(new Set(runs).size).toBe(ROWS);
    expect(runs.every((run) => run?.startsWith(`${how}-run-`))).toBe(true);
    const { problems } = await verifyFiles({
      files: [join(folder.path, "out")],
      publicKeyFile,
      localKeyFile: join(folder.path, "kek"),
    });
    expect(problems.filter((problem) => !/manifest 1 is missing/.test(problem))).toEqual([]);
  },
  60_000,
);
