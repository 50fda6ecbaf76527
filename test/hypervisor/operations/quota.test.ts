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
async function tenant(quota: object): Promise<string> {
  const id = fresh("t");
  await post("/api/v1/organizations", { id, name: id });
  const vdc = { id: `${id}-v`, organization: id, name: id, project: id, quota };
  expect((await post("/api/v1/vdcs", vdc)).status).toBe(201);
  return id;
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
