import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { verifyFiles } from "../../exporter/main.ts";
import { systemClock } from "../../lib/clock.ts";
import { startTcpProxy } from "../fakes/tcp-proxy.ts";
import { startSftpServer } from "../servers/openssh.ts";
import { givenSigningKey, type SigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, localKeyFile, sftpVariables } from "./given.ts";

const FETTLE = join(import.meta.dirname, "../../bin/fettle");

let trail: Trail;
let key: SigningKey;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  trail = await givenTrail();
  key = await givenSigningKey(trail.folder);
  env = {
    ...process.env,
    AIOPS_DATABASE_URL: trail.url,
    AUDIT_EXPORT_DIR: join(trail.folder, "out"),
    AUDIT_WORK_DIR: join(trail.folder, "work"),
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(trail.folder),
    AUDIT_SIGNING_KEY_FILE: key.file,
    AUDIT_MAX_PART_MB: "1",
  };
});
afterEach(async () => {
  await trail.remove();
});

/** The next run finishes it, and what it left behind proves itself. */
async function expectWholeAfterwards(rows: number): Promise<void> {
  const { stdout } = await promisify(execFile)(FETTLE, ["export", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ outcome: "exported", resumed: true, rows });
  const report = await verifyFiles({
    files: [join(trail.folder, "out")],
    publicKeyFile: key.publicKeyFile,
    localKeyFile: join(trail.folder, "kek"),
  });
  expect(report).toMatchObject({ problems: [], manifests: [{ rows, rowsChecked: true }] });
  expect(await readdir(join(trail.folder, "work"))).toEqual([]);
}

test.each([
  "export-planned",
  "export-part-built:2",
  "export-built",
  "export-uploaded",
  "export-signed",
  "export-manifest-uploaded",
  "export-cleared",
])("an export that is killed (-9) at %s is finished by the next one", async (point) => {
  env = { ...env, AUDIT_KMS_DELETE_ORIGINAL: "false" }; // plaintext lies in the work folder meanwhile
  await addRows(trail.client, 8_000);
  const killed = promisify(execFile)(FETTLE, ["export"], {
    env: { ...env, FETTLE_FAILPOINT: point },
  });

  await expect(killed).rejects.toMatchObject({ signal: "SIGKILL" });

  await expectWholeAfterwards(8_000);
});

test("an export of archives that is killed (-9) between its parts is finished with the same rows, said twice", async () => {
  env = { ...env, AUDIT_JSONL: "on", AUDIT_KMS_DELETE_ORIGINAL: "false" };
  await addRows(trail.client, 8_000);
  const killed = promisify(execFile)(FETTLE, ["export"], {
    env: { ...env, FETTLE_FAILPOINT: "export-part-built:2" },
  });

  await expect(killed).rejects.toMatchObject({ signal: "SIGKILL" });

  await expectWholeAfterwards(8_000);
});

test("two exporters in two processes at once hand every row over once", async () => {
  await addRows(trail.client, 3_000);
  const attempt = async () =>
    promisify(execFile)(FETTLE, ["export", "--json"], { env }).then(
      ({ stdout }) => (JSON.parse(stdout) as { rows: number }).rows,
      (error: unknown) => (error as { code: unknown }).code,
    );

  const ends = await Promise.all([attempt(), attempt()]);

  // The second finds the first at work (exit code 5), or no new row after it.
  expect(ends.filter((end) => end === 3_000)).toHaveLength(1);
  expect([0, 5]).toContain(ends.find((end) => end !== 3_000));
  const { problems, manifests } = await verifyFiles({
    files: [join(trail.folder, "out")],
    publicKeyFile: key.publicKeyFile,
    localKeyFile: join(trail.folder, "kek"),
  });
  expect(problems).toEqual([]);
  expect(manifests.reduce((sum, { rows }) => sum + rows, 0)).toBe(3_000);
});

test("an export that is killed (-9) in the middle of an upload leaves nothing under a final name, and the next one ends it", async () => {
  const sftp = await startSftpServer();
  const proxy = await startTcpProxy({ host: sftp.host, port: sftp.port });
  try {
    env = { ...env, ...sftpVariables(sftp), SFTP_PORT: String(proxy.port) };
    env = { ...env, AUDIT_MAX_PART_MB: "256" };
    await addRows(trail.client, 6_000);
    await proxy.setMode({ kind: "delay", milliseconds: 100 });
    const child = spawn(FETTLE, ["export"], { env, stdio: "ignore" });
    for (let n = 0; n < 600 && (await readdir(sftp.folder)).length === 0; n++)
      await systemClock.sleep(20);
    child.kill("SIGKILL");
    await once(child, "close");

    expect(await readdir(sftp.folder)).toEqual([expect.stringMatching(/^\.audit-.*\.part$/)]);
    await proxy.setMode({ kind: "pass" });
    await expectWholeAfterwards(6_000);
    expect((await readdir(sftp.folder)).toSorted()).toEqual(
      (await readdir(join(trail.folder, "out"))).toSorted(),
    );
  } finally {
    await proxy.stop();
    await sftp.stop();
  }
}, 60_000);

test("a full disk ends the export with the reason and no file; the next one does it all", async () => {
  await addRows(trail.client, 5_000);
  // A file of 100 KiB is as large as one may be, which for whoever writes it is the same.
  const line = `trap "" XFSZ; ulimit -f 100; exec "${FETTLE}" export`;
  const full = promisify(execFile)("bash", ["-c", line], { env });

  await expect(full).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("EFBIG") });

  for (const place of ["work", "out"]) {
    expect(await readdir(join(trail.folder, place)).catch(() => [])).toEqual([]);
  }
  await expectWholeAfterwards(5_000);
});

test("an export that is killed (-9) in the middle of a file leaves no plaintext and is finished by the next one", async () => {
  await addRows(trail.client, 150_000, "plaintext-marker");
  env = { ...env, AUDIT_MAX_PART_MB: "2147" };
  const child = spawn(FETTLE, ["export"], { env, stdio: "ignore" });
  const halfWritten = async () =>
    (await readdir(join(trail.folder, "work")).catch(() => [])).filter((name) =>
      name.endsWith(".part"),
    );
  for (let n = 0; n < 600 && (await halfWritten()).length === 0; n++) await systemClock.sleep(20);
  child.kill("SIGKILL");
  await once(child, "close");

  expect(await halfWritten()).toHaveLength(1);
  expect(await readdir(join(trail.folder, "out")).catch(() => [])).toEqual([]);
  const grep = promisify(execFile)("grep", ["-rl", "plaintext-marker", trail.folder]);
  await expect(grep).rejects.toMatchObject({ code: 1 }); // found nowhere
  // The server frees the lock when it notices that the process is gone.
  await expectWholeAfterwards(150_000);
});
