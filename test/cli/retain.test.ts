import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenTrail, type Trail } from "../exporter/given-trail.ts";
import { addRows, localKeyFile } from "../exporter/given.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { fettleHere } from "./in-process.ts";

let s3: FakeS3;
let trail: Trail;
let env: Record<string, string>;
/** Of the only export that is old enough. */
let old: string;

beforeAll(async () => {
  s3 = await startS3("audit");
  // The SDK's own chain reads these; nothing of ours does.
  process.env["AWS_ACCESS_KEY_ID"] = s3.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = s3.key.secretAccessKey;
  trail = await givenTrail();
  env = {
    AIOPS_DATABASE_URL: trail.url,
    AUDIT_WORK_DIR: `${trail.folder}/work`,
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(trail.folder),
    AUDIT_S3_BUCKET: "audit",
    AUDIT_S3_REGION: "eu-central-1",
    AUDIT_S3_ENDPOINT: s3.url,
    AUDIT_S3_RETENTION_DAYS: "30",
  };
  for (let n = 0; n < 4; n++) {
    await addRows(trail.client, 1);
    await fettleHere(["export"], env);
  }
  const [first = ""] = s3.objects.keys();
  old = first;
  await trail.client.query(
    "UPDATE audit_exports SET cutoff = now() - interval '99 days' WHERE last_id = (SELECT min(last_id) FROM audit_exports)",
  );
}, 60_000);
afterAll(async () => {
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
  await trail.remove();
  await s3.stop();
});

const retain = async (...more: readonly string[]) => fettleHere(["retain", ...more], env);

test("a rehearsal promises no more than it knows: what is locked is told by the run itself, by its exit code too", async () => {
  s3.setLock(old, "COMPLIANCE 2099-01-01T00:00:00.000Z");

  const rehearsed = await retain("--dry-run");
  const left = [...s3.objects.keys()];
  const held = await retain();
  s3.setFault({ kind: "status", status: 503, code: "SlowDown" });
  const failed = await retain();
  s3.setFault({ kind: "none" });
  s3.setLock(old, undefined);
  const done = await retain();

  expect(rehearsed).toEqual({
    code: 0,
    stdout: `s3: 1 files would be deleted, unless the destination holds them, 3 exports stay\n  ${old}\n`,
    stderr: "",
  });
  expect(left).toContain(old);
  expect([held.code, held.stdout]).toEqual([
    3,
    expect.stringMatching(
      new RegExp(`^s3: 0 files deleted, 3 exports stay\n  HELD ${old}: .*locked until 2099`),
    ),
  ]);
  expect([failed.code, failed.stdout]).toEqual([
    5,
    expect.stringMatching(/\n {2}FAILED s3: .*503/),
  ]);
  expect(done).toMatchObject({
    code: 0,
    stdout: `s3: 1 files deleted, 3 exports stay\n  ${old}\n`,
  });
  expect([...s3.objects.keys()]).not.toContain(old);
}, 60_000);
