import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { pruneRecordings } from "../../../hypervisor/live/prune-recordings.ts";
import { openRecording } from "../../../hypervisor/live/recordings.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { finished } from "../finished.ts";
import { givenHypervisor, STATIC_TOKEN, type Hypervisor } from "../given.ts";

let folder: string;
let api: Hypervisor;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-recordings-"));
  api = await givenHypervisor({ HYPERVISOR_RECORDINGS_DIR: folder });
  await api.send("/api/v1/organizations", { method: "POST", body: { id: "acme", name: "Acme" } });
  const vdc = { id: "acme-1", organization: "acme", name: "one", project: "acme-project" };
  await api.send("/api/v1/vdcs", { method: "POST", body: vdc });
  for (const project of ["default", "acme-project"]) {
    const body = { name: "web", image: "busybox" };
    await finished(
      api,
      await api.send(`/api/v1/containers?project=${project}`, { method: "POST", body }),
    );
    await api.send(`/api/v1/containers/web/action?project=${project}`, {
      method: "POST",
      body: { action: "start" },
    });
  }
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

/** A session that has ended. @returns its id */
async function givenSession(project = "default"): Promise<string> {
  const before = await readdir(folder);
  const address = `${api.url.replace("http", "ws")}/ws/terminal/web?project=${project}`;
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${STATIC_TOKEN}` } });
  await new Promise((resolve) => socket.once("message", resolve));
  socket.close();
  await waitUntil("the end of the session", async () => {
    const row = await api.lastRow();
    return row?.event === "TerminalClosed" && (await readdir(folder)).length > before.length;
  });
  const file = (await readdir(folder)).find((name) => !before.includes(name)) ?? "";
  return file.replace(".cast", "");
}
const pathOf = (session: string) => `/api/v1/terminals/${session}/recording`;
async function download(session: string, as: string = STATIC_TOKEN) {
  const response = await fetch(`${api.url}${pathOf(session)}`, {
    headers: { authorization: `Bearer ${as}` },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

test("the audit log says where a session's recording is read, and reading it is on record", async () => {
  const session = await givenSession();
  const person = await api.person("Custom", { permissions: ["audit:read", "audit:recordings"] });
  const page = await api.send("/api/v1/audit/logs?resource_type=container&limit=2", {
    as: person.token,
  });
  const details = (page.body["logs"] as { details: string }[]).map((row) => row.details);
  expect(details.every((text) => text.endsWith(`its recording: ${pathOf(session)}`))).toBe(true);

  const { status, headers, text } = await download(session, person.token);

  expect([status, headers.get("content-type"), headers.get("content-disposition")]).toEqual([
    200,
    "application/x-asciicast",
    `attachment; filename="${session}.cast"`,
  ]);
  expect(JSON.parse(text.split("\n")[0] ?? "")).toMatchObject({ version: 2, width: 80 });
  expect(await api.lastRow()).toMatchObject({
    actor: person.name,
    event: "RecordingRead",
    result: "Success",
    target: "hypervisor//container/web",
  });
});

test("only who may see recordings does, and of an organization its own only", async () => {
  const [ours, theirs] = [await givenSession(), await givenSession("acme-project")];
  const reader = { permissions: ["audit:recordings"] };
  const [member, auditor] = [
    await api.person("Custom", { ...reader, organization: "acme" }),
    await api.person("Custom", { permissions: ["audit:read", "container:*"] }),
  ];

  const answers = [
    await download(theirs, member.token),
    await download(ours, member.token),
    await download(ours, auditor.token),
    await download(ours, ""),
  ];

  expect(answers.map(({ status }) => status)).toEqual([200, 404, 403, 401]);
  const row = (await api.rows()).findLast(({ event }) => event === "RecordingRead");
  expect(row?.target).toBe("hypervisor/acme/container/web");
});

test("a recording that was altered is not shown as one, on record", async () => {
  const session = await givenSession();
  await writeFile(join(folder, `${session}.cast`), "something else\n", { flag: "a" });

  const { status } = await download(session);

  expect(status).toBe(409);
  expect(await api.lastRow()).toMatchObject({ event: "RecordingRead", result: "Failure" });
});

test.each(["..%2f..%2fetc%2fpasswd", "term_1%2f..%2fx", "TERM_1", "term_", "x", "term_1.cast"])(
  "%s names no recording",
  async (session) => {
    expect((await download(session)).status).toBe(400);
  },
);

test("of the folder only files are opened, through no link", async () => {
  const secret = join(folder, "secret");
  await writeFile(secret, "secret");
  await symlink(secret, join(folder, "term_link.cast"));
  await mkdir(join(folder, "term_folder.cast"));
  await writeFile(join(folder, "term_empty.cast"), "");

  const found = await Promise.all(
    ["link", "folder", "none", "empty"].map(async (name) => openRecording(folder, `term_${name}`)),
  );
  await found[3]?.close();

  const empty = createHash("sha256").digest("hex");
  expect(found.map((each) => each?.sha256)).toEqual([undefined, undefined, undefined, empty]);
  expect(await openRecording(folder, "../term_1")).toBeUndefined();
});

test("recordings older than the days given are deleted, on record, and nothing else of the folder", async () => {
  const own = await mkdtemp(join(tmpdir(), "fettle-prune-"));
  const now = new Date("2026-11-21T12:00:00Z");
  const write = async (name: string, days: number) => {
    const at = new Date(now.getTime() - days * 86_400_000);
    await writeFile(join(own, name), "");
    await utimes(join(own, name), at, at);
  };
  await write("term_old.cast", 30.1);
  await write("term_young.cast", 29.9);
  await write("notes.txt", 99);
  await mkdir(join(own, "term_folder.cast"));

  const options = { folder: own, days: 30, megabytes: 10, now };
  const counts = [
    await pruneRecordings(api.database, options),
    await pruneRecordings(api.database, options),
  ];

  expect(counts).toEqual([1, 0]);
  expect((await readdir(own)).toSorted()).toEqual([
    "notes.txt",
    "term_folder.cast",
    "term_young.cast",
  ]);
  const rows = (await api.rows()).filter(({ event }) => event === "RecordingsPruned");
  expect(rows.map(({ actor, result }) => `${actor} ${result}`)).toEqual([
    "fettle Started",
    "fettle Success",
  ]);
  await rm(own, { recursive: true });
});

test("of more recordings than there is room for the oldest are deleted, but none of the last day", async () => {
  const own = await mkdtemp(join(tmpdir(), "fettle-prune-"));
  const now = new Date("2026-11-21T12:00:00Z");
  for (const [name, hours] of Object.entries({ a: 72, b: 60, c: 48, d: 23, e: 1 })) {
    const path = join(own, `term_${name}.cast`);
    await writeFile(path, Buffer.alloc(1_000_000));
    const at = new Date(now.getTime() - hours * 3_600_000);
    await utimes(path, at, at);
  }
  const pruned = async (megabytes: number) => {
    await pruneRecordings(api.database, { folder: own, days: 30, megabytes, now });
    return (await readdir(own)).toSorted().join(" ");
  };

  expect(await pruned(5)).toBe("term_a.cast term_b.cast term_c.cast term_d.cast term_e.cast");
  expect(await pruned(3)).toBe("term_c.cast term_d.cast term_e.cast");
  expect(await pruned(1)).toBe("term_d.cast term_e.cast");
  await rm(own, { recursive: true });
});
