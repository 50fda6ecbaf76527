import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenHypervisor, PASSWORD, fresh, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

const NEW_PASSWORD = "three green bicycles";
const RIGHTS = { permissions: ["vdc:read", "user:read"] };

/** Somebody with an API token who is signed in twice. */
async function given() {
  const owner = await api.person("Custom", RIGHTS);
  const other = (await api.login(owner.name)).body as { access_token: string };
  const made = await api.send("/api/v1/tokens", {
    method: "POST",
    as: owner.token,
    body: { name: "ci", permissions: ["vdc:read", "user:read"] },
  });
  return { ...owner, other: other.access_token, api: String(made.body["token"]) };
}
const me = async (as: string) => (await api.send("/auth/me", { as })).status;
const put = async (name: string, body: unknown) =>
  api.send(`/api/v1/users/${name}`, { method: "PUT", body });
async function refreshed(refreshToken: string) {
  const body = { refresh_token: refreshToken };
  return api.send("/auth/refresh", { method: "POST", as: "", body });
}
async function changePassword(as: string, more: Readonly<Record<string, unknown>> = {}) {
  const body = { current_password: PASSWORD, new_password: NEW_PASSWORD, ...more };
  return api.send("/auth/password", { method: "POST", as, body });
}

test("a changed password ends the other sessions and the API tokens, and this session goes on", async () => {
  const one = await given();

  expect((await changePassword(one.token)).status).toBe(204);

  expect([await me(one.other), await me(one.api)]).toEqual([401, 401]);
  expect((await refreshed(one.refresh)).status).toBe(200);
});

test("who says so keeps the API tokens at a change of the password", async () => {
  const one = await given();

  expect((await changePassword(one.token, { keep_tokens: true })).status).toBe(204);

  expect([await me(one.other), await me(one.api)]).toEqual([401, 200]);
});

test.each([
  ["a reset", { password: NEW_PASSWORD }],
  ["a password that is taken away", { password: null }],
  ["disabling", { enabled: false }],
  ["another organization", { organization: "elsewhere" }],
])("%s ends every session and API token, for good", async (_what, update) => {
  await api.send("/api/v1/organizations", {
    method: "POST",
    body: { id: "elsewhere", name: "elsewhere" },
  });
  const one = await given();

  expect((await put(one.name, update)).status).toBe(200);
  await put(one.name, { enabled: true });

  expect([await me(one.token), await me(one.other), await me(one.api)]).toEqual([401, 401, 401]);
  expect((await refreshed(one.refresh)).status).toBe(401);
});

test("fewer permissions end the sessions, and cut API tokens for good", async () => {
  const one = await given();

  await put(one.name, { permissions: ["user:read"] });

  expect((await refreshed(one.refresh)).status).toBe(401);
  await put(one.name, RIGHTS);
  const left = await api.send("/auth/me", { as: one.api });
  expect([left.status, left.body["permissions"]]).toEqual([200, ["user:read"]]);
});

test("more permissions end nothing", async () => {
  const one = await given();

  await put(one.name, { permissions: [...RIGHTS.permissions, "audit:read"] });

  expect([await me(one.api), (await refreshed(one.refresh)).status]).toEqual([200, 200]);
});

test("a role that loses a permission does the same to all who have it", async () => {
  const role = fresh("role");
  const change = async (method: string, path: string, permissions: readonly string[]) =>
    api.send(`/api/v1/roles${path}`, {
      method,
      body: { ...(path === "" ? { name: role } : {}), permissions },
    });
  await change("POST", "", RIGHTS.permissions);
  const holder = await api.person(role);

  await change("PUT", `/${role}`, [...RIGHTS.permissions, "audit:read"]);
  const before = await me(holder.token);
  await change("PUT", `/${role}`, ["user:read"]);

  expect([before, await me(holder.token)]).toEqual([200, 401]);
});

test("making an API token needs a sign-in within ten minutes, which a refresh is not", async () => {
  const one = await api.person("Viewer");
  await api.database.query(
    "UPDATE hypervisor_sessions SET created_at = now() - interval '10 minutes 1 second' WHERE username = $1",
    [one.name],
  );
  const { body } = await refreshed(one.refresh);
  const as = String(body["access_token"]);
  const mint = async (more: Readonly<Record<string, unknown>> = {}) =>
    api.send("/api/v1/tokens", {
      method: "POST",
      as,
      body: { name: "ci", permissions: ["vdc:read"], ...more },
    });

  const stale = await mint();
  const wrong = await mint({ current_password: "a wrong password" });
  const right = await mint({ current_password: PASSWORD });

  expect([stale.status, wrong.status, right.status]).toEqual([401, 403, 201]);
  expect(stale.headers.get("www-authenticate")).toMatch(
    /error="insufficient_user_authentication", max_age=600/,
  );
  const rows = (await api.rows()).slice(-3).map(({ event, result }) => `${event} ${result}`);
  expect(rows).toEqual(["TokenCreated Refused", "TokenCreated Refused", "TokenCreated Success"]);
});

test("the password is not guessed at by making tokens", async () => {
  const one = await api.person("Viewer");
  const mint = async () =>
    api.send("/api/v1/tokens", {
      method: "POST",
      as: one.token,
      body: { name: "ci", permissions: [], current_password: "a wrong password" },
    });
  const answers = [];
  for (let nth = 0; nth < 6; nth += 1) answers.push((await mint()).status);

  expect(answers).toEqual([403, 403, 403, 403, 403, 429]);
  await api.database.query("DELETE FROM hypervisor_login_failures");
});
