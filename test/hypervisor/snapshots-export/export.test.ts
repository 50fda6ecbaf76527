import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { decryptFile } from "../../../exporter/main.ts";
import { sha256Hex } from "../../../lib/canonical.ts";
import { filesBelow, localKeyFile, tempFolder } from "../../exporter/given.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Answer, type Hypervisor } from "../given.ts";
import { openTar } from "./given.ts";

let api: Hypervisor;
let bare: Hypervisor;
let folder: Awaited<ReturnType<typeof tempFolder>>;
let key: string;
let out: string;

beforeAll(async () => {
  folder = await tempFolder();
  out = join(folder.path, "out");
  key = await localKeyFile(folder.path);
  api = await givenHypervisor({ HYPERVISOR_EXPORT_DIR: out, AUDIT_LOCAL_KEY_FILE: key });
  bare = await givenHypervisor();
});
afterAll(async () => {
  await api.stop();
  await bare.stop();
  await folder.remove();
});

const C = "/api/v1/containers";

/** A container with a snapshot s1. */
async function snapped(on: Hypervisor = api): Promise<string> {
  const name = fresh("c");
  const post = async (path: string, body: unknown) => on.send(path, { method: "POST", body });
  await finished(on, await post(C, { name, image: "debian:12" }));
  await finished(on, await post(`${C}/${name}/snapshots`, { name: "s1" }));
  return name;
}

async function ask(name: string, body: object = {}, query = "", on = api): Promise<Answer> {
  const path = `${C}/${name}/snapshots/export${query}`;
  return on.send(path, { method: "POST", body: { snapshot_name: "s1", ...body } });
}

interface Result {
  readonly location: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly recipients: Readonly<Record<string, string>>;
  readonly files: readonly {
    readonly location: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

test("puts a snapshot, sealed, into the place for exports, and on record with its sum, size and recipients", async () => {
  const name = await snapped();
  const answer = await ask(name);
  const ended = await finished(api, answer);

  expect(ended).toMatchObject({ status: "completed", kind: "SnapshotExported" });
  const result = ended["result"] as Result;
  const [file] = result.files;
  expect(basename(file?.location ?? "")).toBe(`${name}.s1.tar.zst.envelope.json`);
  const sealed = await readFile(file?.location ?? "");
  const manifest = await readFile(result.location);
  expect([file?.bytes, file?.sha256]).toEqual([sealed.length, sha256Hex(sealed)]);
  expect([result.bytes, result.sha256]).toEqual([
    sealed.length + manifest.length,
    sha256Hex(manifest),
  ]);
  const listed = JSON.parse(manifest.toString()) as object;
  expect(listed).toMatchObject({
    format: "fettle-snapshot-1",
    backend: "memory",
    project: "default",
    container: name,
    snapshot: "s1",
    keysMissing: [],
    parts: [{ name: `${name}.s1.tar.zst.envelope.json`, sha256: file?.sha256 }],
  });
  const tar = await readFile(await openTar([file?.location ?? ""], key, folder.path));
  expect(tar.equals(Buffer.alloc(1024))).toBe(true); // nothing was ever written in it

  const rows = (await api.rows()).filter(({ event }) => event === "SnapshotExported");
  expect(rows.map(({ result: how }) => how)).toEqual(["Started", "Success"]);
  const { rows: proofs } = await api.database.query(
    "SELECT detail->'facts' AS facts FROM runbooks_audit WHERE event = 'SnapshotExported' ORDER BY id DESC LIMIT 1",
  );
  expect(proofs[0]?.["facts"]).toMatchObject({
    sha256: result.sha256,
    bytes: result.bytes,
    recipients: { local: expect.stringMatching(/^local:[0-9a-f]{16}$/) },
    location: result.location,
  });
});

test("another key does not open it", async () => {
  const ended = await finished(api, await ask(await snapped()));
  const [file] = (ended["result"] as Result).files;
  const other = await localKeyFile(folder.path, "other");

  await expect(
    decryptFile({ file: file?.location ?? "", localKeyFile: other, output: folder.path }),
  ).rejects.toThrow(/wrong key: the envelope wants local:/);
});

test("what is missing is said with the name of its variable, before anything is begun, also in a dry run", async () => {
  const name = await snapped();
  const other = await snapped(bare);
  const before = (await filesBelow(out)).size;
  const answers = [
    await ask(name, { keys: ["aws_kms"] }),
    await ask(name, { keys: ["local", "gcp_kms"] }, "?dryRun=true"),
    await ask(other, {}, "", bare),
  ];

  expect(answers.map(({ status, detail }) => [status, detail])).toEqual([
    [501, "keys: no key is configured as aws_kms (set AWS_KMS_KEY_ID)."],
    [501, "keys: no key is configured as gcp_kms (set GCP_KMS_KEY)."],
    [501, expect.stringContaining("set one of HYPERVISOR_EXPORT_S3_BUCKET, ")],
  ]);
  expect((await ask(name, { keys: ["gold"] })).status).toBe(400);
  expect((await ask(name, { snapshot_name: "s9" }, "?dryRun=true")).status).toBe(404);
  expect((await ask(name, {}, "?dryRun=true")).status).toBe(200);
  expect((await filesBelow(out)).size).toBe(before);
});

test("a place without a key exports nothing", async () => {
  const keyless = await givenHypervisor({ HYPERVISOR_EXPORT_DIR: out });
  try {
    const answer = await ask(await snapped(keyless), {}, "", keyless);
    expect([answer.status, answer.detail]).toEqual([
      501,
      expect.stringContaining("set one of AUDIT_LOCAL_KEY_FILE, AWS_KMS_KEY_ID"),
    ]);
  } finally {
    await keyless.stop();
  }
});

test("takes a permission of its own, which an organization's people never have", async () => {
  const name = await snapped();
  const allowed = await api.person("Custom", {
    permissions: ["container:export", "progress:read"],
  });
  const snapshotter = await api.person("Operator");
  await api.send("/api/v1/organizations", { method: "POST", body: { id: "acme", name: "acme" } });
  const tenant = await api.person("OrgAdmin", { organization: "acme" });
  const by = async (token: string) =>
    api.send(`${C}/${name}/snapshots/export`, {
      method: "POST",
      as: token,
      body: { snapshot_name: "s1" },
    });

  expect((await by(snapshotter.token)).status).toBe(403);
  expect((await by(tenant.token)).status).toBe(403);
  const answer = await by(allowed.token);
  expect(answer.status).toBe(202);
  await finished(api, answer);
});

test("a container has one export at a time, and everything else goes on meanwhile", async () => {
  const name = await snapped();
  // As if another process were at it.
  await api.database.query(
    `INSERT INTO hypervisor_operations (id, kind, object, resource_type, resource_id, project, actor, ip, summary, status)
     VALUES ($1, 'SnapshotExported', $2, 'snapshot', 'x', 'default', 'ana', '', '', 'in_progress')`,
    [fresh("op"), `default/${name}/export`],
  );

  const second = await ask(name);
  const start = { method: "POST", body: { action: "start" } };

  expect([second.status, second.detail]).toEqual([
    409,
    expect.stringMatching(
      new RegExp(`\\(SnapshotExported\\) of the container default/${name} is under way`),
    ),
  ]);
  expect((await api.send(`${C}/${name}/action`, start)).status).toBe(200);
});
