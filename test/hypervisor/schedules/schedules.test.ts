import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../../fakes/fettle.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, type Answer, type Hypervisor } from "../given.ts";

const C = "/api/v1/containers";
const DAILY = { cron: "0 2 * * *", time_zone: "Europe/Zagreb", keep: { last: 2 } };

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor({ HYPERVISOR_BACKEND: "memory" });
});
afterAll(async () => api.stop());

async function post(path: string, body: unknown, as?: string): Promise<Answer> {
  return api.send(path, { method: "POST", body, as });
}

async function container(): Promise<string> {
  const name = fresh("c");
  await finished(api, await post(C, { name, image: "debian:12" }));
  return name;
}

async function names(name: string): Promise<readonly string[]> {
  const { body } = await api.send(`${C}/${name}/snapshots`);
  return (body["snapshots"] as { name: string }[]).map((each) => each.name);
}

/** As if the time had come. */
async function due(name: string): Promise<void> {
  await api.database.query(
    "UPDATE hypervisor_schedules SET next_at = now() - interval '3 days' WHERE container = $1",
    [name],
  );
}

/** A snapshot that the schedule took so many days ago. */
async function taken(name: string, snapshot: string, daysAgo: number, state = "made") {
  await finished(api, await post(`${C}/${name}/snapshots`, { name: snapshot }));
  await api.database.query(
    `INSERT INTO hypervisor_scheduled_snapshots (schedule_id, snapshot, state, created_at)
     SELECT id, $2, $4, now() - make_interval(days => $3) FROM hypervisor_schedules WHERE container = $1`,
    [name, snapshot, daysAgo, state],
  );
}

test("a schedule is made, read, changed under its version and deleted, each on record", async () => {
  const name = await container();
  const S = `${C}/${name}/schedules`;
  const made = await post(S, { name: "nightly", ...DAILY });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    name: "nightly",
    container: name,
    project: "default",
    keep: { last: 2, daily: 0, weekly: 0, monthly: 0 },
    enabled: true,
    next_at: expect.stringMatching(/T0[01]:00:00Z$/), // 02:00 in Zagreb
  });
  expect((await post(S, { name: "nightly", ...DAILY })).status).toBe(409);
  const put = async (etag: string, more: object) =>
    api.send(`${S}/nightly`, {
      method: "PUT",
      body: { ...DAILY, ...more },
      headers: { "if-match": etag },
    });
  const etag = made.headers.get("etag") ?? "";
  expect((await put(etag, { enabled: false })).body).toMatchObject({
    enabled: false,
    next_at: null,
  });
  expect((await put(etag, {})).status).toBe(412);
  const bad = [{ cron: "often" }, { time_zone: "Mars" }, { keep: {} }, { keep: { last: -1 } }];
  const answers = await Promise.all(bad.map(async (more) => put("*", more)));
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400]);
  const list = await api.send(S);
  expect((list.body["schedules"] as object[]).length).toBe(1);

  expect((await api.send(`${S}/nightly`, { method: "DELETE" })).status).toBe(204);
  expect((await api.send(`${S}/nightly`)).status).toBe(404);
  const rows = (await api.rows()).filter(({ target }) => target.includes(`schedule/${name}`));
  expect(rows.filter(({ result }) => result === "Success").map(({ event }) => event)).toEqual([
    "ScheduleCreated",
    "ScheduleUpdated",
    "ScheduleDeleted",
  ]);
});

test("the preview tells what would be deleted, also by another retention, and deletes nothing", async () => {
  const name = await container();
  await post(`${C}/${name}/schedules`, { name: "s", ...DAILY, enabled: false });
  await taken(name, "a", 3);
  await taken(name, "b", 2);
  await taken(name, "c", 1);
  await taken(name, "broken", 0, "failed");
  await finished(api, await post(`${C}/${name}/snapshots`, { name: "by-hand" }));

  const preview = (await api.send(`${C}/${name}/schedules/s/preview`)).body;
  const of = (list: string) =>
    (preview[list] as { snapshot: string }[]).map((each) => each.snapshot);
  expect([of("keep"), of("delete"), preview["untouched"]]).toEqual([
    ["c", "b"],
    ["a"],
    ["broken", "by-hand"], // nothing younger is whole
  ]);
  expect((preview["next_runs"] as string[]).length).toBe(5);
  const other = (await api.send(`${C}/${name}/schedules/s/preview?last=0&monthly=0&daily=3`)).body;
  expect((other["keep"] as object[]).length).toBe(3);
  expect((await api.send(`${C}/${name}/schedules/s/preview?last=0`)).status).toBe(400);
  expect(await names(name)).toEqual(["a", "b", "c", "broken", "by-hand"]);
});

test("when it is due a snapshot is taken, and then only its own old ones go, one row each", async () => {
  const name = await container();
  await post(`${C}/${name}/schedules`, { name: "s", ...DAILY });
  await taken(name, "old", 3);
  await taken(name, "young", 1);
  await taken(name, "broken", 5, "failed");
  await finished(api, await post(`${C}/${name}/snapshots`, { name: "by-hand" }));

  await due(name);
  await waitUntil("the old ones to go", async () => !(await names(name)).includes("broken"));

  const left = await names(name);
  expect(left).toEqual(["young", "by-hand", expect.stringMatching(/^s-20\d{12}$/)]);
  await waitUntil("the schedule to know", async () => {
    const { body } = await api.send(`${C}/${name}/schedules/s`);
    return body["last_status"] === "completed" && String(body["next_at"]) > String(body["last_at"]);
  });
  await waitUntil("the rows", async () => (await scheduled(name)).length === 8);
  const own = left[2] ?? "";
  expect(await scheduled(name)).toEqual([
    ["SnapshotCreated", "Started", `${name}/${own}`],
    ["SnapshotCreated", "Success", `${name}/${own}`],
    ["SnapshotsPruned", "Started", "s"],
    ["SnapshotDeleted", "Started", `${name}/old`],
    ["SnapshotDeleted", "Success", `${name}/old`],
    ["SnapshotDeleted", "Started", `${name}/broken`],
    ["SnapshotDeleted", "Success", `${name}/broken`],
    ["SnapshotsPruned", "Success", "s"],
  ]);
});

/** What the schedule of a container did. */
async function scheduled(name: string) {
  const { rows } = await api.database.query<{ id: string }>(
    "SELECT id FROM hypervisor_schedules WHERE container = $1",
    [name],
  );
  const id = rows[0]?.id ?? "";
  return (await api.rows())
    .filter(({ actor }) => actor === `schedule:${id}`)
    .map(({ event, result, target }) => [
      ...[event, result],
      target
        .replace(`schedule/${id}`, "schedule/s")
        .split(/\/(?:snapshot|schedule)\//)
        .at(-1),
    ]);
}

test("a run waits while something else is done to the container, and missed times are one run", async () => {
  const name = await container();
  await post(`${C}/${name}/schedules`, { name: "s", ...DAILY, cron: "* * * * *" });
  const id = fresh("op_hand");
  await api.database.query(
    `INSERT INTO hypervisor_operations (id, kind, object, resource_type, resource_id, actor, ip, summary, status, expires_at)
     VALUES ($1, 'SnapshotRestored', $2, 'snapshot', 's', 'ana', '', '', 'in_progress', now() + interval '1 hour')`,
    [id, `default/${name}`],
  );
  await due(name);
  await new Promise((resolve) => setTimeout(resolve, 2_500)); // longer than it takes to look
  expect(await names(name)).toEqual([]);

  await api.database.query("DELETE FROM hypervisor_operations WHERE id = $1", [id]);
  await waitUntil("the snapshot", async () => (await names(name)).length > 0);
  expect((await names(name)).length).toBeLessThanOrEqual(2); // three days of minutes were missed
});

test("a schedule whose container is gone says so once, takes nothing more, and deletes nothing", async () => {
  const name = await container();
  await post(`${C}/${name}/schedules`, { name: "s", ...DAILY, keep: { last: 1 } });
  // As if it was removed on the backend itself.
  const gone = `${name}-gone`;
  await api.database.query("UPDATE hypervisor_schedules SET container = $2 WHERE container = $1", [
    ...[name, gone],
  ]);
  await due(gone);

  let body: Answer["body"] = {};
  await waitUntil("the failure", async () => {
    ({ body } = await api.send(`${C}/${gone}/schedules/s`));
    return body["last_status"] === "failed";
  });
  expect(body["last_error"]).toContain(`there is no container ${gone}`);
  expect([body["enabled"], body["next_at"]]).toEqual([false, null]);
  const { rows } = await api.database.query<{ id: string; prune_due: boolean }>(
    "SELECT id, prune_due FROM hypervisor_schedules WHERE container = $1",
    [gone],
  );
  expect(rows).toEqual([{ id: expect.any(String), prune_due: false }]);
  expect(await scheduled(gone)).toContainEqual(["ScheduleUpdated", "Success", `${gone}/s`]);
  await waitUntil("the event", async () => {
    const { body: list } = await api.send("/api/v1/events/recent");
    return (list["events"] as Record<string, unknown>[]).some(
      (each) => each["reason"] === "ScheduleDisabled" && each["involved_object_name"] === gone,
    );
  });
});

test("a removed container's schedules go with it, on record, and not before; a new one of that name has none", async () => {
  const name = await container();
  await post(`${C}/${name}/schedules`, { name: "a", ...DAILY });
  await post(`${C}/${name}/schedules`, { name: "b", ...DAILY });
  const other = await container();
  await post(`${C}/${other}/schedules`, { name: "a", ...DAILY });
  const list = async (of: string) =>
    ((await api.send(`${C}/${of}/schedules`)).body["schedules"] as object[]).length;

  await api.send(`${C}/${name}?dryRun=true`, { method: "DELETE" });
  expect(await list(name)).toBe(2);
  await finished(api, await api.send(`${C}/${name}`, { method: "DELETE" }));
  await finished(api, await post(C, { name, image: "debian:12" }));

  expect([await list(name), await list(other)]).toEqual([0, 1]);
  const rows = (await api.rows()).filter(({ event }) => event === "ScheduleDeleted");
  expect(
    rows.map(({ target, actor }) => [target.split("/schedule/").at(-1), actor]).slice(-2),
  ).toEqual([
    [`${name}/a`, "api-token"],
    [`${name}/b`, "api-token"],
  ]);
});

test("a run belongs to whoever has the project when it comes", async () => {
  const vdc = { id: "moved-v", name: "moved", project: "moved-p" };
  for (const side of ["ma", "mb"]) await post("/api/v1/organizations", { id: side, name: side });
  await post("/api/v1/vdcs", { ...vdc, organization: "ma" });
  const name = fresh("c");
  await finished(api, await post(`${C}?project=moved-p`, { name, image: "debian:12" }));
  await post(`${C}/${name}/schedules?project=moved-p`, { name: "s", ...DAILY });
  await api.database.query(
    "UPDATE hypervisor_vdcs SET organization_id = 'mb' WHERE project = 'moved-p'",
  );

  await due(name);

  await waitUntil("the run's end", async () => (await scheduled(name)).length === 2);
  const { rows } = await api.database.query(
    "SELECT organization FROM hypervisor_operations WHERE project = 'moved-p' AND schedule_id IS NOT NULL",
  );
  expect(rows).toEqual([{ organization: "mb" }]);
  const told = (await api.rows()).filter(({ target }) => target.includes(`${name}/s-`));
  expect(told.map(({ target }) => target.split("/")[1])).toEqual(["mb", "mb"]);
});

test("another organization's schedules are not there", async () => {
  for (const side of ["sa", "sb"]) {
    await post("/api/v1/organizations", { id: side, name: side });
    await post("/api/v1/vdcs", {
      id: `${side}-v`,
      organization: side,
      name: side,
      project: `${side}-p`,
    });
  }
  const owner = await api.person("OrgUser", { organization: "sa" });
  const other = await api.person("OrgUser", { organization: "sb" });
  const name = fresh("c");
  await finished(api, await post(`${C}?project=sa-p`, { name, image: "debian:12" }));
  const S = `${C}/${name}/schedules`;
  expect((await post(`${S}?project=sa-p`, { name: "s", ...DAILY }, owner.token)).status).toBe(201);

  const paths = [
    `${S}?project=sa-p`,
    `${S}/s?project=sa-p`,
    `${S}/s/preview?project=sa-p`,
    `${S}/s?project=sb-p`,
  ];
  const seen = await Promise.all(paths.map(async (path) => api.send(path, { as: other.token })));
  expect(seen.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
  const removed = await api.send(`${S}/s?project=sa-p`, { method: "DELETE", as: other.token });
  expect(removed.status).toBe(404);
});
