import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { expand, ROLES } from "../../hypervisor/permissions.ts";
import { finished } from "./finished.ts";
import { givenHypervisor, type Answer, type Hypervisor } from "./given.ts";

type Person = Awaited<ReturnType<Hypervisor["person"]>>;

let api: Hypervisor;
let left: Person;
let right: Person;

async function post(path: string, body: Readonly<Record<string, unknown>>, as?: string) {
  return api.send(path, { method: "POST", body, as });
}

beforeAll(async () => {
  api = await givenHypervisor();
  for (const side of ["left", "right"]) {
    await post("/api/v1/organizations", { id: side, name: side });
    await post("/api/v1/vdcs", {
      id: `${side}-vdc`,
      organization: side,
      name: side,
      project: `${side}-p`,
    });
  }
  left = await api.person("OrgAdmin", { organization: "left" });
  right = await api.person("OrgAdmin", { organization: "right" });
});
afterAll(async () => api.stop());

const ids = (answer: Answer, list: string, key: string) =>
  (answer.body[list] as Record<string, string>[]).map((each) => each[key]);

test("each tenant sees its own in every list, and the platform's people see all", async () => {
  const seen = async (as?: string) => [
    ids(await api.send("/api/v1/organizations", { as }), "organizations", "id"),
    ids(await api.send("/api/v1/vdcs", { as }), "vdcs", "id"),
    ids(await api.send("/api/v1/users", { as }), "users", "username"),
  ];

  expect(await seen(left.token)).toEqual([["left"], ["left-vdc"], [left.name]]);
  expect(await seen(right.token)).toEqual([["right"], ["right-vdc"], [right.name]]);
  expect(await seen()).toEqual([
    ["left", "right"],
    ["left-vdc", "right-vdc"],
    ["admin", left.name, right.name].toSorted(),
  ]);
});

test("with all ids swapped everything answers 404, as if it were not there", async () => {
  const swapped = [
    await api.send("/api/v1/organizations/right", { as: left.token }),
    await api.send("/api/v1/vdcs/right-vdc", { as: left.token }),
    await api.send("/api/v1/vdcs?organization=right", { as: left.token }),
    await api.send(`/api/v1/users/${right.name}`, { as: left.token }),
    await api.send(`/api/v1/users/${right.name}`, {
      method: "PUT",
      as: left.token,
      body: { enabled: false },
    }),
    await api.send(`/api/v1/users/${right.name}`, { method: "DELETE", as: left.token }),
    await api.send(`/api/v1/authz/explain?user=${right.name}`, { as: left.token }),
    await api.send(`/api/v1/tokens?owner=${right.name}`, { as: left.token }),
    await post(
      "/api/v1/tokens",
      { name: "x", permissions: ["vdc:read"], owner: right.name },
      left.token,
    ),
  ];

  expect(swapped.map(({ status }) => status)).toEqual([
    404, 404, 200, 404, 404, 404, 404, 404, 404,
  ]);
  expect(swapped[2]?.body["vdcs"]).toEqual([]);
  const nobody = await api.send("/api/v1/users/nobody-at-all", { as: left.token });
  expect(swapped[3]?.detail.replace(right.name, "X")).toBe(
    nobody.detail.replace("nobody-at-all", "X"),
  );
});

test("containers: swapped projects answer 404 to every verb, and lists hold one's own", async () => {
  for (const side of ["left", "right"]) {
    const body = { name: `${side}-web`, image: "debian:12" };
    await finished(api, await post(`/api/v1/containers?project=${side}-p`, body));
  }
  const own = "/api/v1/containers/left-web?project=left-p";
  expect((await api.send(own, { as: left.token })).status).toBe(200);
  const foreign = (verb = "") => `/api/v1/containers/right-web${verb}?project=right-p`;
  const as = left.token;

  const swapped = [
    await api.send(foreign(), { as }),
    await api.send("/api/v1/containers/left-web", { as }), // the project of whoever says none is the platform's
    await api.send("/api/v1/containers?project=right-p", { as }),
    await post("/api/v1/containers?project=right-p", { name: "x", image: "debian:12" }, as),
    await api.send(foreign(), { method: "PATCH", as, body: { cpus: 1 } }),
    await api.send(foreign(), { method: "DELETE", as }),
    await post(foreign("/action"), { action: "restart" }, as),
    await api.send(foreign("/logs"), { as }),
    await api.send(foreign("/snapshots"), { as }),
    await post(foreign("/snapshots"), { name: "x" }, as),
    await post(foreign("/snapshots/restore"), { snapshot_name: "x" }, as),
    await post(foreign("/snapshots/clone"), { snapshot_name: "x", new_container_name: "y" }, as),
    await api.send(`/api/v1/containers/right-web/snapshots/x?project=right-p`, {
      method: "DELETE",
      as,
    }),
  ];

  expect(swapped.map(({ status }) => status)).toEqual(swapped.map(() => 404));
  const list = await api.send("/api/v1/containers?project=left-p", { as });
  expect(ids(list, "containers", "name")).toEqual(["left-web"]);
  const all = await api.send("/api/v1/containers", { as });
  expect(JSON.stringify(all.body)).not.toContain("right-web");
});

test("an organization's admin makes its people, and nobody of another or for the platform", async () => {
  const make = async (body: Readonly<Record<string, unknown>>) =>
    post("/api/v1/users", { password: null, ...body }, left.token);

  const own = await make({ username: "lu", role: "OrgUser" });
  const answers = [
    await make({ username: "l1", role: "OrgUser", organization: "right" }),
    await make({ username: "l2", role: "Viewer" }),
    await make({ username: "l3", role: "Admin" }),
  ];

  expect([own.status, own.body["organization"]]).toEqual([201, "left"]);
  expect(answers.map(({ status }) => status)).toEqual([403, 403, 403]);
  await api.send("/api/v1/users/lu", { method: "DELETE", as: left.token });
});

test("an organization's people cannot set their own limits, whatever role they are given", async () => {
  const member = await api.person("Custom", {
    organization: "left",
    permissions: ["vdc:update", "vdc:read", "organization:update", "cluster:read"],
  });

  const answers = [
    await api.send("/api/v1/vdcs/left-vdc", {
      method: "PUT",
      as: member.token,
      body: { quota: {} },
    }),
    await api.send("/api/v1/organizations/left", {
      method: "PUT",
      as: member.token,
      body: { quota: {} },
    }),
    await api.send("/api/v1/authz/explain?permission=cluster:read", { as: member.token }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([403, 403, 200]);
  expect(answers[0]?.detail).toMatch(/about the whole platform, and .* belongs to left/);
  expect(answers[2]?.body["verdicts"]).toEqual([
    expect.objectContaining({ permission: "cluster:read", allowed: false }),
  ]);
  await api.send(`/api/v1/users/${member.name}`, { method: "DELETE" });
});

test("a tenant's audit log holds its own deeds only, not the runs of a namespace of that name", async () => {
  await api.database.query(
    "INSERT INTO runbooks_audit (event, actor, namespace, target) VALUES ('request', 'x', 'left', 'hypervisor/left/deployment/web')",
  );
  await api.send("/api/v1/storage-that-is-not-there", { as: right.token });
  await api.send("/api/v1/organizations", {
    method: "POST",
    body: { id: "x", name: "x" },
    as: right.token,
  });

  const log = await api.send("/api/v1/audit/logs", { as: left.token });

  const users = new Set(ids(log, "logs", "user"));
  expect(users).toContain(left.name);
  expect(users).not.toContain(right.name);
  expect(users).not.toContain("x");
});

test("a disabled organization keeps all of its people out", async () => {
  await post("/api/v1/organizations", { id: "gone", name: "gone" });
  const member = await api.person("OrgUser", { organization: "gone" });
  await api.send("/api/v1/organizations/gone", { method: "PUT", body: { enabled: false } });

  expect((await api.send("/auth/me", { as: member.token })).status).toBe(401);
  expect((await api.login(member.name)).status).toBe(401);
  const deleted = await api.send("/api/v1/organizations/gone", { method: "DELETE" });
  expect([deleted.status, deleted.detail]).toEqual([
    409,
    `The organization still has user ${member.name}.`,
  ]);
});

test("a project belongs to one organization", async () => {
  const again = await post("/api/v1/vdcs", {
    id: "other",
    organization: "right",
    name: "x",
    project: "left-p",
  });

  expect(again.status).toBe(409);
});

test("roles that people make hold at once, are never more than their maker has, and stay while they are used", async () => {
  const role = async (method: string, path: string, body?: unknown, as?: string) =>
    api.send(`/api/v1/roles${path}`, { method, body, as });
  const made = await role("POST", "", { name: "Stopper", permissions: ["container:stop"] });
  const user = await api.person("Stopper");
  const can = async () => (await api.send("/auth/me", { as: user.token })).body["permissions"];
  expect([made.status, await can()]).toEqual([201, ["container:stop"]]);

  const etag = (await role("GET", "/Stopper")).headers.get("etag") ?? "";
  const put = async (version: string) =>
    api.send("/api/v1/roles/Stopper", {
      method: "PUT",
      body: { permissions: ["container:stop", "logs:read"] },
      headers: { "if-match": version },
    });
  expect([(await put(etag)).status, (await put(etag)).status]).toEqual([200, 412]);
  expect((await role("GET", "/Admin")).body["built_in"]).toBe(true);
  expect((await role("GET", "/none-such")).status).toBe(404);

  expect(await can()).toEqual(["container:stop", "logs:read"]);
  const writer = await api.person("Custom", { permissions: ["role:write"] });
  const refused = [
    await role("POST", "", { name: "Boss", permissions: ["*"] }, writer.token),
    await role("PUT", "/Stopper", { permissions: [] }, writer.token),
    await role("DELETE", "/Stopper"),
    await role("DELETE", "/Admin"),
    await role("POST", "", { name: "admin", permissions: [] }),
  ];
  expect(refused.map(({ status }) => status)).toEqual([403, 403, 409, 409, 409]);
  const list = await role("GET", "");
  expect(ids(list, "roles", "name")).toEqual([...Object.keys(ROLES), "Stopper"]);
  expect(list.body["permissions"]).toEqual(expand(["*"]));
});

test("a drill that ended well sets its metric, for good and on record", async () => {
  const before = Date.now() / 1000 - 5;
  const viewer = await api.person("Viewer");
  expect(
    (await api.send("/metrics/drill-success", { method: "POST", as: viewer.token })).status,
  ).toBe(403);

  expect((await api.send("/metrics/drill-success", { method: "POST" })).status).toBe(200);

  const text = await (await fetch(`${api.url}/metrics`)).text();
  const value = /^last_successful_drill_timestamp_seconds{[^}]*} (\S+)$/m.exec(text)?.[1];
  expect(Number(value)).toBeGreaterThan(before);
  expect(await api.lastRow()).toMatchObject({ event: "DrillRecorded", result: "Success" });
});

test("what the platform's people do to a tenant's things stands in the tenant's record", async () => {
  const one = await api.person("OrgUser", { organization: "right" });
  const token = await post("/api/v1/tokens", { name: "x", permissions: [], owner: one.name });
  await api.send(`/api/v1/tokens/${String(token.body["id"])}`, { method: "DELETE" });
  await api.send("/api/v1/vdcs/right-vdc", { method: "PUT", body: { description: "x" } });
  const container = "/api/v1/containers/right-told";
  const body = { name: "right-told", image: "debian:12" };
  await finished(api, await post("/api/v1/containers?project=right-p", body));
  await post(`${container}/action?project=right-p`, { action: "start" });
  await api.send(`${container}?project=right-p`, { method: "PATCH", body: { cpus: 1 } });
  await api.send(`/api/v1/users/${one.name}`, { method: "PUT", body: { email: "a@example.com" } });
  await api.send(`/api/v1/users/${one.name}`, { method: "DELETE" });

  const page = await api.send("/api/v1/audit/logs?user=api-token", { as: right.token });

  const told = (page.body["logs"] as { action: string; result: string }[]).map(
    ({ action, result }) => `${action} ${result}`,
  );
  expect(told.toReversed().slice(-11)).toEqual([
    "TokenCreated Success",
    "TokenRevoked Success",
    "VDCUpdated Success",
    "ContainerCreated Started",
    "ContainerCreated Success",
    "ContainerStarted Started",
    "ContainerStarted Success",
    "ContainerUpdated Started",
    "ContainerUpdated Success",
    "UserUpdated Success",
    "UserDeleted Success",
  ]);
});

test("ids of workflows are each tenant's own: nobody takes one away from another, or writes into it", async () => {
  const agent = await api.person("agent");
  const tell = async (workflow_id: string, percent_complete: number, as?: string) =>
    (await post("/progress/update", { workflow_id, percent_complete }, as)).status;
  const seen = async (id: string, as?: string) => {
    const { status, body, detail } = await api.send(`/progress/${id}`, { as });
    return status === 200 ? [body["workflow_id"], body["percent_complete"]] : [status, detail];
  };

  expect(await tell("nightly", 1, left.token)).toBe(200);
  expect(await tell("nightly", 2, right.token)).toBe(200);
  expect(await tell("nightly", 3, left.token)).toBe(200);
  expect(await seen("nightly", left.token)).toEqual(["nightly", 3]);
  expect(await seen("nightly", right.token)).toEqual(["nightly", 2]);
  // Who sees all of them says which one.
  expect(await seen("nightly")).toEqual([
    409,
    'Several organizations have a workflow "nightly": say ?organization=.',
  ]);
  expect(await seen("nightly?organization=right")).toEqual(["nightly", 2]);
  expect(await seen("nightly?organization=right", left.token)).toEqual([404, expect.any(String)]);
  expect(await tell("nightly", 4, agent.token)).toBe(200);
  expect(await seen("nightly")).toEqual(["nightly", 4]);
  const history = await api.send("/progress/nightly/history?organization=left");
  expect(history.body["history"]).toMatchObject([
    { workflow_id: "nightly", percent_complete: 1 },
    { workflow_id: "nightly", percent_complete: 3 },
  ]);
  await tell("only-left", 5, left.token);
  expect(await seen("only-left")).toEqual(["only-left", 5]);
  expect(await seen("only-left", right.token)).toEqual([404, expect.any(String)]);

  const page = async (before: string, as?: string) => {
    const more = before === "" ? "" : `&before=${before}`;
    const answer = await api.send(`/api/v1/operations?kind=workflow&limit=1${more}`, { as });
    return [ids(answer, "operations", "workflow_id"), answer.body["next"]] as const;
  };
  const [[first], next] = await page("", left.token);
  const [[second], end] = await page(String(next), left.token);
  expect([first, second, end]).toEqual(["only-left", "nightly", null]);
});

test("a limit that nobody enforces is not accepted", async () => {
  const quota = { bandwidth: 5 };

  const refused = await post("/api/v1/organizations", { id: "wide", name: "wide", quota });

  expect([refused.status, refused.detail]).toEqual([400, expect.stringMatching(/bandwidth/)]);
});
