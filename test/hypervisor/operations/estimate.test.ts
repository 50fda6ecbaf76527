import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { fresh, givenHypervisor, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

async function post(path: string, body: unknown) {
  return api.send(path, { method: "POST", body });
}

test("an estimate rests on earlier ones of its kind, and says so when there are too few", async () => {
  const insert = async (kind: string, seconds: number, status = "completed") => {
    const id = fresh("op_est");
    await api.database.query(
      `INSERT INTO hypervisor_operations (id, kind, resource_type, resource_id, actor, ip, summary, status, started_at, ended_at)
       VALUES ($1, $2, 'snapshot', 's', 'ana', '', '', $3, now() - make_interval(secs => $4),
               CASE WHEN $3 = 'completed' THEN now() END)`,
      [id, kind, status, seconds],
    );
    return api.send(`/progress/${id}/estimate`);
  };
  for (const seconds of [10, 100, 110]) await insert("Tested", seconds);

  const young = await insert("Tested", 1, "in_progress");
  expect(young.body).toMatchObject({ estimated_seconds_total: 100, based_on: 3 });
  expect(Math.round(Number(young.body["estimated_seconds_remaining"]) / 20)).toBe(5);
  const late = await insert("Tested", 500, "in_progress");
  expect(late.body).toMatchObject({
    estimated_seconds_remaining: null,
    reason: "unknown: it takes longer than each of 3 earlier ones",
  });
  const rare = await insert("Rare", 1, "in_progress");
  expect(rare.body).toMatchObject({
    estimated_completion: null,
    based_on: 0,
    reason: "unknown: 0 of 3 earlier ones that are needed",
  });
});

test("a worker's estimate rests on its own kind of work, of its own organization", async () => {
  const begun = async (id: string, work_kind?: string) =>
    post("/progress/update", { workflow_id: id, percent_complete: 0, work_kind });
  const ended = async (work_kind: string, seconds: number, organization: string | null) => {
    const id = fresh("past");
    await begun(id, work_kind);
    await api.database.query(
      `UPDATE hypervisor_operations SET status = 'completed', organization = $3, ended_at = now(),
              started_at = now() - make_interval(secs => $2) WHERE id = $1`,
      [id, seconds, organization],
    );
  };
  for (const seconds of [4, 5, 6]) await ended("restart", seconds, null);
  for (const seconds of [900, 1000, 1100]) await ended("clone", seconds, null);
  for (const seconds of [1, 1, 1]) await ended("clone", seconds, "elsewhere");
  const estimated = async (work_kind?: string) => {
    const id = fresh("now");
    await begun(id, work_kind);
    const { body } = await api.send(`/progress/${id}/estimate`);
    return [body["estimated_seconds_total"], body["based_on"]];
  };

  expect(await estimated("clone")).toEqual([1000, 3]);
  expect(await estimated("restart")).toEqual([5, 3]);
  expect(await estimated("rare")).toEqual([null, 0]);
  expect(await estimated()).toEqual([null, 0]);
});
