import { rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { pruneExports } from "../../../hypervisor/snapshots-export/prune-exports.ts";
import { openFolderStore } from "../../../lib/adapters/storage/folder.ts";
import { silentLog } from "../../../lib/log.ts";
import { filesBelow, localKeyFile, tempFolder } from "../../exporter/given.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";

const C = "/api/v1/containers";

let api: Hypervisor;
let folder: Awaited<ReturnType<typeof tempFolder>>;
let out: string;
beforeAll(async () => {
  folder = await tempFolder();
  out = join(folder.path, "out");
  const key = await localKeyFile(folder.path);
  api = await givenHypervisor({ HYPERVISOR_EXPORT_DIR: out, AUDIT_LOCAL_KEY_FILE: key });
});
afterAll(async () => {
  await api.stop();
  await folder.remove();
});

async function post(path: string, body: unknown) {
  return finished(api, await api.send(path, { method: "POST", body }));
}

/** A container whose snapshot was exported so often. @returns the operations, the newest first */
async function exported(times: number) {
  const name = fresh("c");
  await post(C, { name, image: "debian:12" });
  await post(`${C}/${name}/snapshots`, { name: "s1" });
  const ids: string[] = [];
  for (let at = 0; at < times; at += 1) {
    const { workflow_id } = await post(`${C}/${name}/snapshots/export`, { snapshot_name: "s1" });
    ids.unshift(String(workflow_id));
  }
  return { name, ids };
}

interface Listed {
  readonly id: string;
  readonly location: string;
}

async function listed(name: string, more = "") {
  const { body } = await api.send(`/api/v1/snapshots/exports?container=${name}${more}`);
  return { exports: body["exports"] as readonly Listed[], next: body["next"] };
}

async function prune(keep: number): Promise<number> {
  const signal = new AbortController().signal;
  const store = openFolderStore(out);
  return pruneExports(keep, { database: api.database, store, log: silentLog, signal });
}

test("finished exports are listed with where they are, and pages of them", async () => {
  const { name, ids } = await exported(3);

  const { exports, next } = await listed(name, "&limit=2");

  expect(exports).toMatchObject([
    { id: ids[0], project: "default", container: name, snapshot: "s1", exported_by: "api-token" },
    { id: ids[1], sha256: expect.stringMatching(/^[0-9a-f]{64}$/), parts: 1 },
  ]);
  expect([...(await filesBelow(out)).keys()]).toContain(exports[0]?.location);
  expect((await listed(name, `&limit=2&before=${String(next)}`)).exports).toMatchObject([
    { id: ids[2] },
  ]);
});

test("of a container's exports the newest are kept, and nothing is deleted but what was written down", async () => {
  const { name, ids } = await exported(3);
  const foreign = join(out, "default", name, "s1", "notes.txt");
  await writeFile(foreign, "");

  await prune(2);
  await prune(2);

  const { exports } = await listed(name);
  expect(exports.map(({ id }) => id)).toEqual(ids.slice(0, 2));
  const left = [...(await filesBelow(out)).keys()].filter((path) => path.includes(`/${name}/`));
  expect(left).toHaveLength(2 * 2 + 1); // each with its manifest, and what is not ours
  const rows = (await api.rows()).filter(
    ({ event, target }) => event === "SnapshotExportDeleted" && target.includes(name),
  );
  expect(rows.map(({ actor, result }) => `${actor} ${result}`)).toEqual([
    "fettle Started",
    "fettle Success",
  ]);
});

test("what somebody has taken away does not count as kept: the last good copy stays", async () => {
  const { name, ids } = await exported(3);
  const { exports } = await listed(name);
  for (const { location } of exports.slice(0, 2)) await rm(dirname(location), { recursive: true });

  await prune(1);

  expect((await listed(name)).exports.map(({ id }) => id)).toContain(ids[2]);
  const left = [...(await filesBelow(out)).keys()].filter((path) => path.includes(`/${name}/`));
  expect(left).toHaveLength(2);
});
