import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { fresh, givenHypervisor, PASSWORD, type Hypervisor } from "../given.ts";

const DELETE = { method: "DELETE" };
const ROLES = ["/api/v1/roles/Watcher", "/api/v1/roles/Newrole"];

let api: Hypervisor;
let admin: Awaited<ReturnType<Hypervisor["person"]>>;
beforeAll(async () => {
  api = await givenHypervisor({ OIDC_ISSUER: "https://idp.example.com" });
  admin = await api.person("Admin");
});
afterAll(async () => api.stop());
beforeEach(async () => {
  await api.database.query("DELETE FROM hypervisor_login_failures");
  for (const path of [item, "/api/v1/users/newcomer", ...ROLES]) await api.send(path, DELETE);
  await api.send("/api/v1/roles", { method: "POST", body: { name: "Watcher", permissions: [] } });
  const body = { username, role: "Viewer", password: null };
  await api.send("/api/v1/users", { method: "POST", body });
  await api.database.query(
    "UPDATE hypervisor_sessions SET created_at = created_at - interval '11 minutes' WHERE username = $1",
    [admin.name],
  );
});

interface Wish {
  readonly what: string;
  readonly method: "POST" | "PUT";
  readonly path: string;
  readonly body: object;
  readonly action: string;
}
const username = fresh("other");
const item = `/api/v1/users/${username}`;
const oidc_subject = fresh("sub");
const permissions = ["logs:read"];
const changed = { method: "PUT", path: item, action: "UserUpdated" } as const;

/** What outlives the session that asks for it. */
const LASTING: readonly Wish[] = [
  {
    ...{ what: "a new user", method: "POST", path: "/api/v1/users", action: "UserCreated" },
    body: { username: "newcomer", role: "Viewer", password: null },
  },
  { what: "somebody's password", ...changed, body: { password: PASSWORD } },
  { what: "somebody without a password", ...changed, body: { password: null } },
  { what: "another role", ...changed, body: { role: "Admin" } },
  { what: "permissions", ...changed, body: { role: "Custom", permissions: ["*"] } },
  { what: "another organization", ...changed, body: { organization: null } },
  { what: "letting somebody in again", ...changed, body: { enabled: true } },
  { what: "another account", ...changed, body: { oidc_subject } },
  {
    ...{ what: "a new role", method: "POST", path: "/api/v1/roles", action: "RoleCreated" },
    body: { name: "Newrole", permissions },
  },
  {
    ...{ what: "more for a role", method: "PUT", path: "/api/v1/roles/Watcher" },
    ...{ action: "RoleUpdated", body: { permissions } },
  },
];

test.each(LASTING)(
  "$what is refused to a sign-in of long ago, on record, and to a wrong password",
  async ({ method, path, body, action }) => {
    const before = await api.send(item);

    const stale = await api.send(path, { method, as: admin.token, body });
    const dry = await api.send(`${path}?dryRun=true`, { method, as: admin.token, body });
    const wrong = await api.send(path, {
      ...{ method, as: admin.token, body: { ...body, current_password: "not this one" } },
    });

    expect([stale.status, dry.status, wrong.status]).toEqual([401, 401, 403]);
    expect(stale.headers.get("www-authenticate")).toContain(
      'error="insufficient_user_authentication", max_age=600',
    );
    const rows = (await api.rows()).slice(-3);
    expect(rows.map(({ actor, event, result }) => [actor, event, result])).toEqual(
      rows.map(() => [admin.name, action, "Refused"]),
    );
    expect((await api.send(item)).body).toEqual(before.body);
  },
);

test.each(LASTING)(
  "$what is done for who gives the password again",
  async ({ method, path, body }) => {
    const { status } = await api.send(path, {
      ...{ method, as: admin.token, body: { ...body, current_password: PASSWORD } },
    });

    expect(status).toBeLessThan(300);
    const { rows } = await api.database.query<{ text: string }>(
      "SELECT concat_ws(' ', (SELECT json_agg(a) FROM runbooks_audit a), (SELECT json_agg(r) FROM hypervisor_requests r)) AS text",
    );
    expect(rows[0]?.text.includes(PASSWORD)).toBe(false);
  },
);

test.each(LASTING)(
  "$what is not an API token's to give: it would outlive the token",
  async (wish) => {
    const { method, path, body, action } = wish;
    const owner = await api.person("Admin");
    const made = await api.send("/api/v1/tokens", {
      ...{ method: "POST", as: owner.token, body: { name: "ci", permissions: ["*"] } },
    });
    const as = String(made.body["token"]);

    const answer = await api.send(path, { method, as, body });

    expect([answer.status, answer.detail]).toEqual([
      403,
      expect.stringMatching(/^A token .*: sign/),
    ]);
    expect(await api.lastRow()).toMatchObject({ event: action, result: "Refused" });
  },
);

test("what only takes away needs no recent sign-in, nor does what is no access", async () => {
  const put = async (body: object) =>
    (await api.send(item, { method: "PUT", as: admin.token, body })).status;

  expect([await put({ enabled: false }), await put({ email: "a@example.com" })]).toEqual([
    200, 200,
  ]);
  const less = { method: "PUT", as: admin.token, body: { permissions: [] } };
  expect((await api.send("/api/v1/roles/Watcher", less)).status).toBe(200);
  expect((await api.send(item, { ...DELETE, as: admin.token })).status).toBe(204);
});
