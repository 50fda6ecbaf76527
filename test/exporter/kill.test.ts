import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type pg from "pg";
import { verifyFiles } from "../../exporter/main.ts";
import { systemClock } from "../../lib/clock.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { addRows, connectTo, localKeyFile, tempFolder } from "./given.ts";

const FETTLE = join(import.meta.dirname, "../../bin/fettle");

let database: TestDatabase;
let client: pg.Client;
let folder: Awaited<ReturnType<typeof tempFolder>>;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  folder = await tempFolder();
  database = await createTestDatabase();
  client = await connectTo(database.url);
  const { privateKey } = generateKeyPairSync("ed25519");
  const sign = join(folder.path, "sign.pem");
  await writeFile(sign, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  const pub = createPublicKey(privateKey).export({ format: "pem", type: "spki" });
  await writeFile(join(folder.path, "sign.pub"), pub);
  env = {
    ...process.env,
    AIOPS_DATABASE_URL: database.url,
    AUDIT_EXPORT_DIR: join(folder.path, "out"),
    AUDIT_WORK_DIR: join(folder.path, "work"),
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(folder.path),
    AUDIT_SIGNING_KEY_FILE: sign,
    AUDIT_MAX_PART_MB: "1",
  };
});
afterEach(async () => {
  await client.end();
  await database.drop();
  await folder.remove();
});

/** The next run finishes it, and what it left behind proves itself. */
async function expectWholeAfterwards(rows: number): Promise<void> {
  const { stdout } = await promisify(execFile)(FETTLE, ["export", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "exported", resumed: true, rows });
  const report = await verifyFiles({
    files: [join(folder.path, "out")],
    publicKeyFile: join(folder.path, "sign.pub"),
    localKeyFile: join(folder.path, "kek"),
  });
  expect(report).toMatchObject({ problems: [], manifests: [{ rows, rowsChecked: true }] });
  expect(await readdir(join(folder.path, "work"))).toEqual([]);
}

test.each([
  "export-planned",
  "export-part-built:2",
  "export-built",
  "export-uploaded",
  "export-signed",
])("an export that is killed (-9) at %s is finished by the next one", async (point) => {
  await addRows(client, 8_000);
  const killed = promisify(execFile)(FETTLE, ["export"], {
    env: { ...env, FETTLE_FAILPOINT: point },
  });

  await expect(killed).rejects.toMatchObject({ signal: "SIGKILL" });

  await expectWholeAfterwards(8_000);
});

test("an export that is killed (-9) in the middle of a file leaves no plaintext and is finished by the next one", async () => {
  await addRows(client, 150_000, "plaintext-marker");
  env = { ...env, AUDIT_MAX_PART_MB: "2147" };
  const child = spawn(FETTLE, ["export"], { env, stdio: "ignore" });
  const halfWritten = async () =>
    (await readdir(join(folder.path, "work")).catch(() => [])).filter((name) =>
      name.endsWith(".part"),
    );
  for (let n = 0; n < 600 && (await halfWritten()).length === 0; n++) await systemClock.sleep(20);
  child.kill("SIGKILL");
  await once(child, "close");

  expect(await halfWritten()).toHaveLength(1);
  expect(await readdir(join(folder.path, "out")).catch(() => [])).toEqual([]);
  const grep = promisify(execFile)("grep", ["-rl", "plaintext-marker", folder.path]);
  await expect(grep).rejects.toMatchObject({ code: 1 }); // found nowhere
  // The server frees the lock when it notices that the process is gone.
  await expectWholeAfterwards(150_000);
});
