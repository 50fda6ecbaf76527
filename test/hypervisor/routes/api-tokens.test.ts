import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { givenHypervisor, type Hypervisor } from "../given.ts";

let api: Hypervisor;
beforeAll(async () => {
  api = await givenHypervisor();
});
afterAll(async () => api.stop());

async function make(as: string | undefined, body: Readonly<Record<string, unknown>>) {
  return api.send("/api/v1/tokens", { method: "POST", as, body: { name: "ci", ...body } });
}

test("a token has some of its owner's rights, is shown once, and loses what its owner loses", async () => {
  const owner = await api.person("Custom", { permissions: ["user:read", "vdc:read"] });

  const made = await make(owner.token, { permissions: ["vdc:read"] });

  expect(made.status).toBe(201);
  const token = String(made.body["token"]);
  expect(token).toMatch(/^aio_[\w-]{43}$/);
  const can = async (path: string) => (await api.send(path, { as: token })).status;
  expect([await can("/api/v1/vdcs"), await can("/api/v1/users")]).toEqual([200, 403]);
  const list = await api.send("/api/v1/tokens", { as: owner.token });
  expect(JSON.stringify(list.body)).toContain(String(made.body["id"]));
  expect(JSON.stringify(list.body)).not.toContain(token.slice(4));
  await api.send(`/api/v1/users/${owner.name}`, {
    method: "PUT",
    body: { permissions: ["user:read"] },
  });
  expect(await can("/api/v1/vdcs")).toBe(403);
});

test("nobody gets more by a token, and a token makes none", async () => {
  const owner = await api.person("Viewer");
  const token = String((await make(owner.token, { permissions: ["vdc:read"] })).body["token"]);

  const answers = [
    await make(owner.token, { permissions: ["*"] }),
    await make(owner.token, { permissions: ["container:create"] }),
    await make(owner.token, { permissions: ["vdc:read"], owner: "admin" }),
    await make(token, { permissions: ["vdc:read"] }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
  const rows = (await api.rows()).slice(-4);
  expect(rows.map(({ event, result }) => `${event} ${result}`)).toEqual(
    Array.from({ length: 4 }, () => "TokenCreated Refused"),
  );
});

test("an admin makes a token for a program's user, as restart_container wants it", async () => {
  const made = await api.send("/api/v1/users", {
    method: "POST",
    body: {
      username: "runbooks",
      role: "Custom",
      permissions: ["container:read", "container:start", "container:stop"],
      password: null,
    },
  });
  expect(made.body["has_password"]).toBe(false);

  const token = await make(undefined, {
    owner: "runbooks",
    permissions: ["container:read", "container:start", "container:stop"],
  });

  const me = await api.send("/auth/me", { as: String(token.body["token"]) });
  expect(me.body).toMatchObject({
    name: "runbooks",
    via: "api-token",
    permissions: ["container:read", "container:start", "container:stop"],
  });
});

test("a token that was revoked, or has expired, is dead", async () => {
  const owner = await api.person("Viewer");
  const [first, second] = [
    await make(owner.token, { permissions: ["vdc:read"] }),
    await make(owner.token, { permissions: ["vdc:read"] }),
  ];
  const status = async ({ body }: typeof first) =>
    (await api.send("/auth/me", { as: String(body["token"]) })).status;
  expect([await status(first), await status(second)]).toEqual([200, 200]);

  await api.send(`/api/v1/tokens/${String(first.body["id"])}`, {
    method: "DELETE",
    as: owner.token,
  });
  await api.database.query("UPDATE hypervisor_api_tokens SET expires_at = now() WHERE id = $1", [
    second.body["id"],
  ]);

  expect([await status(first), await status(second)]).toEqual([401, 401]);
});

test("somebody else's token cannot be revoked or seen", async () => {
  const [owner, other] = [await api.person("Viewer"), await api.person("Viewer")];
  const made = await make(owner.token, { permissions: ["vdc:read"] });

  const revoke = await api.send(`/api/v1/tokens/${String(made.body["id"])}`, {
    method: "DELETE",
    as: other.token,
  });
  const list = await api.send(`/api/v1/tokens?owner=${owner.name}`, { as: other.token });

  expect([revoke.status, list.status]).toEqual([403, 403]);
});

test("a token sees and revokes itself, and no other of its owner's unless it may change users", async () => {
  const owner = await api.person("Viewer");
  const [first, second] = [
    await make(owner.token, { permissions: [] }),
    await make(owner.token, { permissions: ["vdc:read"] }),
  ];
  const as = String(first.body["token"]);
  const revoke = async (id: unknown) =>
    (await api.send(`/api/v1/tokens/${String(id)}`, { method: "DELETE", as })).status;

  const list = await api.send("/api/v1/tokens", { as });
  const seen = (list.body["tokens"] as { id: string }[]).map(({ id }) => id);

  expect(seen).toEqual([first.body["id"]]);
  expect([await revoke(second.body["id"]), await revoke(first.body["id"])]).toEqual([403, 204]);
  expect((await api.send("/auth/me", { as: String(second.body["token"]) })).status).toBe(200);
});

test("a secret answer is not kept for its Idempotency-Key", async () => {
  const owner = await api.person("Viewer");
  const send = async () =>
    api.send("/api/v1/tokens", {
      method: "POST",
      as: owner.token,
      headers: { "idempotency-key": "once" },
      body: { name: "ci", permissions: ["vdc:read"] },
    });
  expect((await send()).status).toBe(201);

  const again = await send();

  expect([again.status, again.detail]).toEqual([
    409,
    expect.stringMatching(/its answer is not kept/),
  ]);
});
