import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { newId } from "../../../lib/id.ts";
import { insertOperation } from "../../../hypervisor/operations/table.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Answer, type Hypervisor } from "../given.ts";

const C = "/api/v1/containers";
const LIMITS = { image: "debian:12", cpus: 1, memory_bytes: 64 * 2 ** 20 };

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

async function post(path: string, body: unknown, as?: string): Promise<Answer> {
  return api.send(path, { method: "POST", body, as });
}

/** An organization with one project of the same name. */
async function tenant(quota: object, own: object = {}): Promise<string> {
  const id = fresh("t");
  await post("/api/v1/organizations", { id, name: id, quota: own });
  await vdc(id, id, quota);
  return id;
}

async function vdc(organization: string, project: string, quota: object): Promise<void> {
  const body = { id: `${project}-v`, organization, name: project, project, quota };
  expect((await post("/api/v1/vdcs", body)).status).toBe(201);
}

async function make(project: string, name: string, more: object = {}): Promise<Answer> {
  return post(`${C}?project=${project}`, { ...LIMITS, name, ...more });
}

async function grow(project: string, name: string, cpus: number): Promise<Answer> {
  return api.send(`${C}/${name}?project=${project}`, { method: "PATCH", body: { cpus } });
}

function told({ status, detail }: Answer): readonly [number, string] {
  return [status, detail];
}

/** An operation that was accepted; `held`: which another process does, and never ends. */
async function givenAccepted(project: string, name: string, held: boolean): Promise<string> {
  const id = newId("op");
  await api.database.inTransaction(async (tx) => {
    await insertOperation(tx, {
      id,
      work: { verb: "create", project, name, image: "debian:12", start: false, cpus: 1 },
      ...{ resourceId: name, organization: undefined, actor: "ana", ip: "", summary: "Made it" },
    });
    if (held)
      await tx.query(
        `UPDATE hypervisor_operations SET status = 'in_progress', expires_at = now() + interval '1 hour' WHERE id = $1`,
        [id],
      );
  });
  return id;
}

async function names(project: string): Promise<readonly string[]> {
  const { body } = await api.send(`${C}?project=${project}`);
  return (body["containers"] as { name: string }[]).map(({ name }) => name);
}

test("of many requests at once no more are done than the quota has room for", async () => {
  const project = await tenant({ containers: 3, cpu: 2 });

  const answers = await Promise.all(
    Array.from({ length: 12 }, async (_, at) =>
      post(`${C}?project=${project}`, { ...LIMITS, name: `c${at}` }),
    ),
  );
  const accepted = answers.filter(({ status }) => status === 202);
  const ends = await Promise.all(accepted.map(async (answer) => finished(api, answer)));
  const made = await names(project);
  expect([1, 2]).toContain(made.length); // those that come at once may refuse each other
  expect(ends.filter(({ status }) => status === "completed").length).toBe(made.length);
  const refused = answers.filter(({ status }) => status !== 202).map(({ detail }) => detail);
  const failed = ends.filter(({ status }) => status === "failed").map(({ error }) => error);
  for (const why of [...refused, ...failed])
    expect(why).toMatch(/^VDC .+: (cpu|containers) would be \d+ of [23]$/);
});

test("what was accepted counts for clones, limits and dry runs too", async () => {
  const project = await tenant({ containers: 2, cpu: 2 });
  await finished(api, await post(`${C}?project=${project}`, { ...LIMITS, name: "a" }));
  const S = `${C}/a/snapshots`;
  await finished(api, await post(`${S}?project=${project}`, { name: "s" }));
  await givenAccepted(project, "b", true);

  const clone = { snapshot_name: "s", new_container_name: "c" };
  const refused = [
    await post(`${S}/clone?project=${project}`, clone),
    await post(`${C}?dryRun=true&project=${project}`, { ...LIMITS, name: "c" }),
  ];
  expect(refused.map(({ status, detail }) => [status, detail])).toEqual([
    [403, `VDC ${project}-v: containers would be 3 of 2`],
    [403, `VDC ${project}-v: containers would be 3 of 2`],
  ]);
  const body = { cpus: 1.5 };
  const grown = await api.send(`${C}/a?project=${project}`, { method: "PATCH", body });
  expect([grown.status, grown.detail]).toEqual([403, `VDC ${project}-v: cpu would be 2.5 of 2`]);
});

test("what has no room any more when its turn comes ends as failed and makes nothing", async () => {
  const project = await tenant({ containers: 1 });
  await givenAccepted(project, "other", true);
  const id = await givenAccepted(project, "late", false); // as if it had not been asked for room

  const ended = await finished(api, {
    ...{ status: 202, body: {}, detail: "" },
    headers: new Headers({ location: `/progress/${id}` }),
  });
  expect([ended["status"], ended["error"]]).toEqual([
    ...["failed", `VDC ${project}-v: containers would be 2 of 1`],
  ]);
  expect(await names(project)).toEqual([]);
});

test("an organization with too many unfinished operations waits, and nobody else", async () => {
  const project = await tenant({});
  for (let at = 0; at < 20; at += 1) await givenAccepted(project, `c${at}`, true);

  const paths = [`${C}?project=${project}`, `${C}?dryRun=true&project=${project}`];
  const full = await Promise.all(paths.map(async (path) => post(path, { ...LIMITS, name: "x" })));
  expect(full.map(({ status, headers }) => [status, headers.get("retry-after")])).toEqual([
    [429, "10"],
    [429, "10"],
  ]);
  const other = await tenant({});
  const free = await post(`${C}?project=${other}`, { ...LIMITS, name: "x" });
  expect(await finished(api, free)).toMatchObject({ status: "completed" });
});

test("of two changes of limits at once no more is done than the quota has room for", async () => {
  const project = await tenant({ cpu: 3 });
  for (const name of ["a", "b"]) await finished(api, await make(project, name));

  const answers = await Promise.all(["a", "b"].map(async (name) => grow(project, name, 2)));

  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 403]);
  const refused = answers.find(({ status }) => status === 403);
  expect(refused?.detail).toBe(`VDC ${project}-v: cpu would be 4 of 3`);
  // Nothing of it is left over: what shrinks makes room for another.
  const grown = answers[0]?.status === 200 ? ["a", "b"] : ["b", "a"];
  expect((await grow(project, grown[0] ?? "", 1)).status).toBe(200);
  expect((await grow(project, grown[1] ?? "", 2)).status).toBe(200);
});

test("a change of limits that is under way counts for what is made meanwhile, until it ends or is forgotten", async () => {
  const project = await tenant({ cpu: 3 });
  await finished(api, await make(project, "a"));
  const change = async (seconds: number) =>
    api.database.query(
      `INSERT INTO hypervisor_limit_changes (object, project, cpus, expires_at)
       VALUES ($1, $2, 3, now() + make_interval(secs => $3))
       ON CONFLICT (object) DO UPDATE SET expires_at = excluded.expires_at`,
      [`${project}/a`, project, seconds],
    );

  await change(60);
  expect(told(await make(project, "b"))).toEqual([403, `VDC ${project}-v: cpu would be 4 of 3`]);
  expect(told(await grow(project, "a", 1))).toEqual([
    409,
    `A change of the limits of the container ${project}/a is under way.`,
  ]);
  await change(-1);
  expect((await make(project, "b")).status).toBe(202);
});

test("the limits of a container are not changed while an operation has it, also in a dry run", async () => {
  const project = await tenant({});
  await finished(api, await make(project, "a"));
  await api.database.query(
    `INSERT INTO hypervisor_operations (id, kind, object, resource_type, resource_id, project, actor, ip, summary, status)
     VALUES ($1, 'SnapshotRestored', $2, 'snapshot', 'a/s', $3, 'ana', '', '', 'in_progress')`,
    [fresh("op"), `${project}/a`, project],
  );

  const path = `${C}/a?project=${project}`;
  const body = { cpus: 2 };
  expect((await api.send(path, { method: "PATCH", body })).status).toBe(409);
  expect((await api.send(`${path}&dryRun=true`, { method: "PATCH", body })).status).toBe(409);
});

test("an organization's own quota holds for all its VDCs together", async () => {
  const one = await tenant({}, { containers: 3, cpu: 4 });
  const two = `${one}-2`;
  await vdc(one, two, { containers: 3 });
  await finished(api, await make(one, "a"));
  await finished(api, await make(two, "b", { cpus: 2 }));

  expect(told(await make(two, "c", { cpus: 2 }))).toEqual([
    403,
    `Organization ${one}: cpu would be 5 of 4`,
  ]);
  expect(told(await grow(one, "a", 3))).toEqual([403, `Organization ${one}: cpu would be 5 of 4`]);
  await finished(api, await make(one, "c"));
  expect(told(await make(two, "d", { cpus: 0.1 }))).toEqual([
    403,
    `Organization ${one}: containers would be 4 of 3`,
  ]);
  const events = await api.send(`/api/v1/events?type=Warning&namespace=${one}`);
  expect(events.body["events"]).toContainEqual(
    expect.objectContaining({
      reason: "QuotaExceeded",
      involved_object_kind: "Organization",
      involved_object_name: one,
    }),
  );
});

test("requests to different VDCs at once do not pass their organization's quota", async () => {
  const one = await tenant({}, { containers: 2 });
  const projects = [one, `${one}-2`, `${one}-3`];
  for (const project of projects.slice(1)) await vdc(one, project, {});

  const answers = await Promise.all(
    projects.flatMap((project) => ["a", "b"].map(async (name) => make(project, name))),
  );
  for (const answer of answers.filter(({ status }) => status === 202)) await finished(api, answer);

  const made = await Promise.all(projects.map(async (project) => names(project)));
  expect([1, 2]).toContain(made.flat().length); // those that come at once may refuse each other
  const refused = answers.filter(({ status }) => status !== 202).map(({ detail }) => detail);
  for (const why of refused) expect(why).toMatch(/^Organization .+: containers would be \d+ of 2$/);
});

test("storage is counted by the size that is told or was asked for; without one there is none", async () => {
  const project = await tenant({ storage_gb: 5 });
  const disk = (gigabytes: number) => ({ disk_bytes: gigabytes * 2 ** 30 });

  expect(told(await make(project, "a"))).toEqual([
    403,
    `VDC ${project}-v: storage_gb would be Infinity of 5`,
  ]);
  const made = await finished(api, await make(project, "a", disk(2)));
  expect(made["result"]).toMatchObject({ disk_bytes: 2 * 2 ** 30 });
  expect(told(await make(project, "b", disk(3.5)))).toEqual([
    403,
    `VDC ${project}-v: storage_gb would be 5.5 of 5`,
  ]);
  const volume = { name: fresh("v"), pool: "default" };
  const V = `/api/v1/storage/volumes?project=${project}`;
  expect(told(await post(V, volume))).toEqual([
    403,
    `VDC ${project}-v: storage_gb would be Infinity of 5`,
  ]);
  expect((await post(V, { ...volume, size_bytes: 2 * 2 ** 30 })).status).toBe(201);
  expect(told(await make(project, "b", disk(2)))).toEqual([
    403,
    `VDC ${project}-v: storage_gb would be 6 of 5`,
  ]);
  // A clone is as large as what it is made from.
  const S = `${C}/a/snapshots`;
  await finished(api, await post(`${S}?project=${project}`, { name: "s" }));
  const clone = { snapshot_name: "s", new_container_name: "c" };
  expect(told(await post(`${S}/clone?project=${project}`, clone))).toEqual([
    403,
    `VDC ${project}-v: storage_gb would be 6 of 5`,
  ]);
  await finished(api, await make(project, "b", disk(1)));
});

test("a container has no more snapshots than the quota says, whoever asks for them", async () => {
  const project = await tenant({}, { snapshots: 2 });
  for (const name of ["a", "b"]) await finished(api, await make(project, name));
  const snapshot = async (name: string, query = "") =>
    post(`${C}/${name}/snapshots?project=${project}${query}`, { name: fresh("s") });
  await finished(api, await snapshot("a"));
  await finished(api, await snapshot("a"));

  const over = [403, `Organization ${project}: snapshots would be 3 of 2`];
  expect(told(await snapshot("a"))).toEqual(over);
  expect(told(await snapshot("a", "&dryRun=true"))).toEqual(over);
  expect((await snapshot("b")).status).toBe(202);
  // As a schedule asks for it, which does not look before.
  const id = newId("op");
  const work = { verb: "snapshot", project, name: "a", snapshot: "nightly", comment: "" } as const;
  await insertOperation(api.database, {
    ...{ id, work, resourceId: "a/nightly", organization: undefined },
    ...{ actor: "schedule:x", ip: "", summary: "Took it" },
  });
  const headers = new Headers({ location: `/progress/${id}` });
  expect(await finished(api, { status: 202, body: {}, detail: "", headers })).toMatchObject({
    status: "failed",
    error: over[1],
  });
});
