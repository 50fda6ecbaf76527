import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { fresh, givenHypervisor, PASSWORD, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

const ITEM = (name: string) => `/api/v1/users/${name}`;

async function make(body: Readonly<Record<string, unknown>>, as?: string) {
  return api.send("/api/v1/users", { method: "POST", body, as });
}
async function put(name: string, body: unknown, as?: string, headers = {}) {
  return api.send(ITEM(name), { method: "PUT", body, as, headers });
}

test("a user is made as the seed says, with a password shown once that must be changed", async () => {
  const username = fresh("john");

  const made = await make({ username, email: "john@example.com", role: "Operator" });

  expect([made.status, made.headers.get("location")]).toEqual([201, ITEM(username)]);
  expect(made.body).toMatchObject({
    username,
    email: "john@example.com",
    role: "Operator",
    enabled: true,
    has_password: true,
  });
  const oneTime = String(made.body["one_time_password"]);
  expect(oneTime).toMatch(/^[\w-]{20}$/);
  const { body } = await api.login(username, oneTime);
  const refused = await api.send("/api/v1/vdcs", { as: String(body["access_token"]) });
  expect([body["must_change_password"], refused.status]).toEqual([true, 403]);
  expect(refused.detail).toMatch(/the password must be changed first/);
  const read = await api.send(ITEM(username));
  expect([read.status, JSON.stringify(read.body)]).toEqual([
    200,
    expect.not.stringMatching(/argon2|one_time/),
  ]);
});

test("users are listed page by page, by name", async () => {
  for (let nth = 0; nth < 3; nth += 1)
    await make({ username: fresh("page"), role: "guest", password: null });

  const all = await api.send("/api/v1/users");
  const first = await api.send("/api/v1/users?limit=2");
  const second = await api.send(`/api/v1/users?limit=200&after=${String(first.body["next"])}`);

  const names = (answer: typeof all) =>
    (answer.body["users"] as { username: string }[]).map(({ username }) => username);
  expect([...names(first), ...names(second)]).toEqual(names(all));
  expect(names(all)).toEqual(names(all).toSorted());
});

test("an update holds by its version: If-Match of an older one is refused", async () => {
  const username = fresh("eve");
  const etag = (await make({ username, role: "Viewer", password: null })).headers.get("etag") ?? "";

  const first = await put(username, { email: "a@example.com" }, undefined, { "if-match": etag });
  const second = await put(username, { email: "b@example.com" }, undefined, { "if-match": etag });

  expect([first.status, second.status]).toEqual([200, 412]);
  expect(second.headers.get("etag")).toBe(first.headers.get("etag"));
  expect((await api.send(ITEM(username))).body["email"]).toBe("a@example.com");
});

test("the default admin cannot be deleted, and the last admin neither deleted nor demoted nor disabled", async () => {
  const other = await api.person("Admin");
  expect((await api.send(ITEM("admin"), { method: "DELETE" })).detail).toBe(
    "The default admin cannot be deleted.",
  );
  await put("admin", { enabled: false });

  const refused = [
    await put(other.name, { role: "Viewer" }),
    await put(other.name, { enabled: false }),
    await api.send(ITEM(other.name), { method: "DELETE" }),
  ];

  expect(refused.map(({ status }) => status)).toEqual([409, 409, 409]);
  expect(refused[0]?.detail).toMatch(/is the last admin/);
  await put("admin", { enabled: true });
  expect((await api.send(ITEM(other.name), { method: "DELETE" })).status).toBe(204);
});

test("of two admins who demote each other at once one is left", async () => {
  const [left, right] = [await api.person("Admin"), await api.person("Admin")];
  await put("admin", { enabled: false });

  const answers = await Promise.all([
    put(left.name, { role: "Viewer" }, right.token),
    put(right.name, { role: "Viewer" }, left.token),
  ]);

  expect(
    answers.map(({ status }) => status).filter((status) => status === 200).length,
  ).toBeLessThan(2);
  const { rows } = await api.database.query<{ admins: number }>(
    "SELECT count(*)::int AS admins FROM hypervisor_users WHERE role = 'Admin' AND enabled",
  );
  expect(rows[0]?.admins).toBeGreaterThan(0);
  await put("admin", { enabled: true });
});

test("nobody changes their own rights, or makes somebody who may do more", async () => {
  const maker = await api.person("Custom", {
    permissions: ["user:create", "user:update", "container:read"],
  });
  const admin = await api.person("Admin");

  const answers = [
    await put(maker.name, { role: "Admin" }, maker.token),
    await make({ username: fresh("x"), role: "Admin" }, maker.token),
    await make({ username: fresh("x"), role: "Custom", permissions: ["audit:read"] }, maker.token),
    await put(admin.name, { email: "taken@example.com" }, maker.token),
    await put(admin.name, { password: PASSWORD }, maker.token),
  ];

  expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
  expect(answers[2]?.detail).toMatch(/cannot give what they do not have: audit:read/);
  expect(
    (
      await make(
        { username: fresh("x"), role: "Custom", permissions: ["container:read"], password: null },
        maker.token,
      )
    ).status,
  ).toBe(201);
});

test("a disabled user is out at once, with every token", async () => {
  const person = await api.person("Operator");
  expect((await api.send("/auth/me", { as: person.token })).status).toBe(200);

  await put(person.name, { enabled: false });

  expect((await api.send("/auth/me", { as: person.token })).status).toBe(401);
  expect((await api.login(person.name)).status).toBe(401);
});

test("a greater role holds at once: the access token is void, and the session goes on by a refresh", async () => {
  const person = await api.person("Viewer");

  await put(person.name, { role: "Operator" });

  expect((await api.send("/auth/me", { as: person.token })).status).toBe(401);
  const again = await api.send("/auth/refresh", {
    method: "POST",
    as: "",
    body: { refresh_token: person.refresh },
  });
  const me = await api.send("/auth/me", { as: String(again.body["access_token"]) });
  expect(me.body["role"]).toBe("Operator");
});

test.each([
  [{ username: "../etc", role: "Viewer" }, /username/],
  [{ username: "Anna", role: "Viewer" }, /username: must be lower-case/],
  [{ username: "api-token", role: "Viewer" }, /username: is a reserved name/],
  [{ username: "anna", role: "Chief" }, /role: there is no role "Chief"/],
  [{ username: "anna", role: "Viewer", email: "not an address" }, /email: must be an address/],
  [{ username: "anna", role: "Viewer", permissions: ["container:read"] }, /only the role Custom/],
  [
    { username: "anna", role: "Custom", permissions: ["container:fly"] },
    /permissions.0: is no permission/,
  ],
  [{ username: "anna", role: "OrgUser" }, /organization: OrgUser needs one/],
  [{ username: "anna", role: "Viewer", organization: "nowhere" }, /organization: there is no/],
  [
    { username: "anna", role: "Viewer", password: "short" },
    /password: must have 12 characters or more/,
  ],
  [
    { username: "anna", role: "Viewer", password: "passwordpassword" },
    /password: must not be made of/,
  ],
  [{ username: "anna", role: "Viewer", is_admin: true }, /unknown parameter is_admin/],
])("%j is refused and says why", async (body, detail) => {
  const refused = await make(body);

  expect([refused.status, refused.detail]).toEqual([400, expect.stringMatching(detail)]);
});

test("what is kept of a request for its Idempotency-Key does not tell its password", async () => {
  const body = { username: fresh("key"), role: "guest" };
  const headers = { "idempotency-key": body.username };
  const send = async (password: string) =>
    api.send("/api/v1/users", { method: "POST", headers, body: { ...body, password } });
  expect((await send(PASSWORD)).status).toBe(201);

  const other = await send("three green bicycles");

  expect([other.status, other.detail]).toEqual([409, expect.stringMatching(/is not kept/)]);
});

test("of a password's change as well", async () => {
  const person = await api.person("guest");
  const change = async (as: string, current_password: string, new_password: string) =>
    api.send("/auth/password", {
      method: "POST",
      as,
      headers: { "idempotency-key": person.name },
      body: { current_password, new_password },
    });
  expect((await change(person.token, PASSWORD, "three green bicycles")).status).toBe(204);
  const refreshed = await api.send("/auth/refresh", {
    method: "POST",
    as: "",
    body: { refresh_token: person.refresh },
  });

  const as = String(refreshed.body["access_token"]);
  const other = await change(as, "three green bicycles", "four green bicycles");

  expect([other.status, other.detail]).toEqual([409, expect.stringMatching(/is not kept/)]);
});

test("an answer that was kept is not for the same person by another way in", async () => {
  const maker = await api.person("Admin");
  const token = await api.send("/api/v1/tokens", {
    method: "POST",
    as: maker.token,
    body: { name: "ci", permissions: ["organization:create"] },
  });
  const send = async (as: string) =>
    api.send("/api/v1/organizations", {
      method: "POST",
      as,
      headers: { "idempotency-key": "once" },
      body: { id: maker.name, name: "x" },
    });
  const answers = [await send(maker.token), await send(maker.token)];

  const other = await send(String(token.body["token"]));

  expect([...answers, other].map(({ status }) => status)).toEqual([201, 201, 422]);
});

test("also a dry run that is refused is on record", async () => {
  const maker = await api.person("Custom", { permissions: ["user:create"] });
  const body = { username: fresh("x"), role: "Admin", password: null };

  const refused = await api.send("/api/v1/users?dryRun=true", {
    method: "POST",
    as: maker.token,
    body,
  });

  expect(refused.status).toBe(403);
  expect(await api.lastRow()).toMatchObject({
    actor: maker.name,
    event: "UserCreated",
    result: "Refused",
    target: expect.stringContaining(body.username),
    summary: expect.stringMatching(/^Dry run: /),
  });
});

test("every change of a user is on record, with its maker, address and result", async () => {
  const admin = await api.person("Admin");
  const username = fresh("rec");
  await make({ username, role: "guest", password: null }, admin.token);
  await put(username, { role: "Viewer" }, admin.token);
  await api.send(ITEM(username), { method: "DELETE", as: admin.token });

  const page = await api.send(`/api/v1/audit/logs?user=${admin.name}&resource_type=user&limit=3`);

  expect(page.body["logs"]).toEqual(
    ["UserDeleted", "UserUpdated", "UserCreated"].map((action) =>
      expect.objectContaining({
        action,
        user: admin.name,
        resource_type: "user",
        resource_id: username,
        result: "Success",
        ip_address: "127.0.0.1",
        correlation_id: expect.stringMatching(/^[\w-]{36}$/),
      }),
    ),
  );
});
