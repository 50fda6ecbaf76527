import { createHmac, createPrivateKey, generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { waitUntil } from "../../fakes/fettle.ts";
import { FIRST_PASSWORD, fresh, givenHypervisor, PASSWORD, type Hypervisor } from "../given.ts";

let api: Hypervisor;
let person: Awaited<ReturnType<Hypervisor["person"]>>;
beforeAll(async () => {
  api = await givenHypervisor();
  person = await api.person("Viewer");
});
afterAll(async () => api.stop());
beforeEach(async () => {
  await api.database.query("DELETE FROM hypervisor_login_failures");
});

async function me(token: string) {
  return api.send("/auth/me", { as: token });
}
async function refresh(refreshToken: string, headers: Readonly<Record<string, string>> = {}) {
  const body = { refresh_token: refreshToken };
  return api.send("/auth/refresh", { method: "POST", as: "", body, headers });
}
async function signingKey() {
  const { rows } = await api.database.query<{ kid: string; private_pem: string }>(
    "SELECT kid, private_pem FROM hypervisor_signing_keys",
  );
  const [row] = rows;
  if (row === undefined) throw new Error("no key");
  return { kid: row.kid, key: createPrivateKey(row.private_pem) };
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("an access token is an EdDSA JWT of ten minutes that says whose it is and nothing about rights", async () => {
  const header = decodeProtectedHeader(person.token);
  const { exp = 0, iat = 0, nbf, jti, ...claims } = decodeJwt(person.token);

  expect(header).toEqual({ alg: "EdDSA", typ: "at+jwt", kid: (await signingKey()).kid });
  expect(claims).toEqual({
    iss: "fettle",
    aud: "fettle-hypervisor",
    sub: person.name,
    sid: expect.stringMatching(/^ses_/),
    ver: 1,
  });
  expect([exp - iat, nbf, typeof jti]).toEqual([600, iat, "string"]);
  expect((await me(person.token)).body["name"]).toBe(person.name);
});

test("forged and strange tokens are all answered 401", async () => {
  const { kid, key } = await signingKey();
  const claims = decodeJwt(person.token);
  const endless = { ...claims, exp: undefined };
  const now = Math.floor(Date.now() / 1000);
  const [head = "", payload = "", signature = ""] = person.token.split(".");
  const hs = `${part({ alg: "HS256", typ: "at+jwt", kid })}.${payload}`;
  const publicPem = key.export({ type: "pkcs8", format: "pem" }).toString();
  const sign = async (header: object, payload_: object, with_ = key) =>
    new SignJWT(payload_ as Record<string, unknown>)
      .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid, ...header })
      .sign(with_);
  const other = generateKeyPairSync("ed25519").privateKey;

  const forged: Readonly<Record<string, string>> = {
    "alg none": `${part({ alg: "none", typ: "at+jwt", kid })}.${payload}.`,
    "alg None with a signature": `${part({ alg: "None", typ: "at+jwt", kid })}.${payload}.${signature}`,
    "no signature": `${head}.${payload}.`,
    "HS256 with the key as its secret": `${hs}.${createHmac("sha256", publicPem).update(hs).digest("base64url")}`,
    "HS256 with an empty secret": `${hs}.${createHmac("sha256", "").update(hs).digest("base64url")}`,
    "another key": await sign({}, claims, other),
    "another kid": await sign({ kid: "nobody" }, claims),
    "kid as a path": await sign({ kid: "../../../dev/null" }, claims),
    "no kid": `${part({ alg: "EdDSA", typ: "at+jwt" })}.${payload}.${signature}`,
    "a key in the header": await sign(
      { jwk: other.export({ format: "jwk" }), kid: "x" },
      claims,
      other,
    ),
    "typ JWT": await sign({ typ: "JWT" }, claims),
    expired: await sign({}, { ...claims, iat: now - 1000, nbf: now - 1000, exp: now - 10 }),
    "issued long ago, for long": await sign({}, { ...claims, iat: now - 5000, exp: now + 5000 }),
    "without an end": await sign({}, endless),
    "not yet": await sign({}, { ...claims, nbf: now + 100 }),
    "another audience": await sign({}, { ...claims, aud: "somebody-else" }),
    "another issuer": await sign({}, { ...claims, iss: "https://evil.example.com" }),
    "another's session": await sign({}, { ...claims, sub: "admin" }),
    "another version": await sign({}, { ...claims, ver: 2 }),
    "a version that is a text": await sign({}, { ...claims, ver: "1" }),
    "another payload": `${head}.${part({ ...claims, sub: "admin" })}.${signature}`,
    "cut off": person.token.slice(0, -2),
    "three dots": "...",
    "an API token that is none": `aio_${"a".repeat(43)}`,
  };
  const answers = await Promise.all(
    Object.entries(forged).map(async ([what, token]) => [what, (await me(token)).status]),
  );

  expect(Object.fromEntries(answers)).toEqual(
    Object.fromEntries(Object.keys(forged).map((what) => [what, 401])),
  );
  expect((await me(await sign({}, claims))).status).toBe(200); // what is signed right passes: the list can fail
});

test("a token taken from a header field of the request's making, or the address, is none", async () => {
  const answers = [
    await api.send(`/auth/me?access_token=${person.token}`, { as: "" }),
    await api.send("/auth/me", { as: "", headers: { authorization: `Basic ${person.token}` } }),
    await api.send("/auth/me", {
      as: "",
      headers: { "x-user": "admin", "x-forwarded-user": "admin" },
    }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([401, 401, 401]);
});

test("logout ends the session: access and refresh tokens are dead at once, and it is on record", async () => {
  const one = await api.person("Viewer");

  expect((await api.send("/auth/logout", { method: "POST", as: one.token })).status).toBe(204);

  expect((await me(one.token)).status).toBe(401);
  expect((await refresh(one.refresh)).status).toBe(401);
  const row = (await api.rows()).findLast(({ event }) => event === "UserLogout");
  expect(row).toMatchObject({ actor: one.name, result: "Success" });
});

test("logout with the refresh token alone, as the access token lives ten minutes only", async () => {
  const one = await api.person("Viewer");
  const logout = async (body?: unknown, as = "") =>
    (await api.send("/auth/logout", { method: "POST", as, body })).status;

  expect([await logout(), await logout({}, "dead.access.token")]).toEqual([401, 401]);
  expect(await logout({ refresh_token: one.refresh }, "dead.access.token")).toBe(204);

  expect([(await me(one.token)).status, (await refresh(one.refresh)).status]).toEqual([401, 401]);
});

test("who ends somebody else's session stands in the record", async () => {
  const [one, other] = [await api.person("Viewer"), await api.person("Viewer")];

  await api.send("/auth/logout", {
    method: "POST",
    as: other.token,
    body: { refresh_token: one.refresh },
  });

  expect(await api.lastRow()).toMatchObject({
    actor: other.name,
    event: "UserLogout",
    target: `hypervisor//user/${one.name}`,
  });
  expect((await me(one.token)).status).toBe(401);
});

test("a refresh token is used once; when it comes back its whole session ends, for the thief too", async () => {
  const one = await api.person("Viewer");
  const second = await refresh(one.refresh);
  const third = await refresh(String(second.body["refresh_token"]));
  expect([second.status, third.status]).toEqual([200, 200]);

  const stolen = await refresh(one.refresh);

  expect(stolen.status).toBe(401);
  expect((await refresh(String(third.body["refresh_token"]))).status).toBe(401);
  expect((await me(String(third.body["access_token"]))).status).toBe(401);
  const row = (await api.rows()).findLast(({ event }) => event === "RefreshReused");
  expect(row).toMatchObject({ actor: one.name, result: "Refused" });
});

test("when the answer was lost the same client gets the same successor again, and nobody else", async () => {
  const one = await api.person("Viewer");
  const first = await refresh(one.refresh);

  const again = await refresh(one.refresh);
  expect([again.status, again.body["refresh_token"]]).toEqual([200, first.body["refresh_token"]]);

  const elsewhere = await refresh(one.refresh, { "user-agent": "somebody else" });
  expect(elsewhere.status).toBe(401);
  expect((await refresh(String(first.body["refresh_token"]))).status).toBe(401);
});

test("the same refresh token five seconds later is a theft, also from the same client", async () => {
  const one = await api.person("Viewer");
  await refresh(one.refresh);
  await api.database.query(
    "UPDATE hypervisor_refresh_tokens SET used_at = used_at - interval '6 seconds' WHERE used_at IS NOT NULL",
  );

  expect((await refresh(one.refresh)).status).toBe(401);
});

test("five wrong passwords from one address and the right one has to wait; another account has not", async () => {
  const [one, other] = [await api.person("Viewer"), await api.person("Viewer")];
  await api.database.query("DELETE FROM hypervisor_login_failures");
  const wrong = [];
  for (let nth = 0; nth < 5; nth += 1)
    wrong.push((await api.login(one.name, "wrong password")).status);

  const right = await api.login(one.name);

  expect(wrong).toEqual([401, 401, 401, 401, 401]);
  expect([right.status, Number(right.headers.get("retry-after")) > 800]).toEqual([429, true]);
  expect((await api.login(other.name)).status).toBe(200);
  await api.database.query(
    "UPDATE hypervisor_login_failures SET since = since - interval '15 minutes 1 second'",
  );
  expect((await api.login(one.name)).status).toBe(200);
});

test("one address that tries many names is stopped after twenty, also when it asks all at once", async () => {
  const answers = await Promise.all(
    Array.from({ length: 30 }, async (_, nth) => api.login(`nobody-${nth}`, "wrong password")),
  );

  const count = (status: number) => answers.filter((answer) => answer.status === status).length;
  expect([count(401), count(429)]).toEqual([20, 10]);
});

test("who does not exist is answered as a wrong password is", async () => {
  const unknown = await api.login(fresh("nobody"), "wrong password");
  const wrong = await api.login(person.name, "wrong password");

  const said = ({ status, body }: typeof wrong) => [status, { ...body, correlation_id: "" }];
  expect(said(unknown)).toEqual(said(wrong));
  const row = await api.lastRow();
  expect(row).toMatchObject({ actor: person.name, event: "UserLogin", result: "Refused" });
});

test("whose password is changed while their login with the old one is under way does not come in", async () => {
  const one = await api.person("Viewer");
  let login: ReturnType<typeof api.login> | undefined;

  await api.database.inTransaction(async (tx) => {
    await tx.query("UPDATE hypervisor_users SET password_hash = 'another' WHERE username = $1", [
      one.name,
    ]);
    login = api.login(one.name);
    await waitUntil("the login at the locked row", async () => {
      const { rowCount } = await tx.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return rowCount === 1;
    });
  });

  expect((await login)?.status).toBe(401);
  expect(await api.lastRow()).toMatchObject({ actor: one.name, result: "Refused" });
});

test("a login by a form, as OAuth clients send it", async () => {
  const response = await fetch(`${api.url}/auth/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "password",
      username: person.name,
      password: PASSWORD,
    }),
  });

  expect([response.status, await response.json()]).toEqual([
    200,
    expect.objectContaining({ token_type: "bearer", expires_in: 600 }),
  ]);
});

test("the first admin's password must be changed, which ends its other sessions", async () => {
  const [one, other] = [
    await api.login("admin", FIRST_PASSWORD),
    await api.login("admin", FIRST_PASSWORD),
  ];
  const as = String(one.body["access_token"]);
  expect((await api.send("/api/v1/users", { as })).status).toBe(403);
  const change = async (current_password: string, new_password: string) =>
    api.send("/auth/password", { method: "POST", as, body: { current_password, new_password } });
  expect((await change("a wrong password", PASSWORD)).status).toBe(403);
  expect((await change(FIRST_PASSWORD, FIRST_PASSWORD)).status).toBe(400);
  expect((await change(FIRST_PASSWORD, "administrator1")).status).toBe(400);

  expect((await change(FIRST_PASSWORD, PASSWORD)).status).toBe(204);

  expect((await refresh(String(other.body["refresh_token"]))).status).toBe(401);
  const mine = await refresh(String(one.body["refresh_token"]));
  expect(mine.body["must_change_password"]).toBe(false);
  expect((await api.send("/api/v1/users", { as: String(mine.body["access_token"]) })).status).toBe(
    200,
  );
  const rows = (await api.rows()).filter(({ event }) => event === "UserPasswordChanged");
  expect(rows.map(({ result }) => result)).toEqual(["Refused", "Failure", "Failure", "Success"]);
});

test("no password and no token stands in the database", async () => {
  const { rows } = await api.database.query<{ text: string }>(
    `SELECT concat_ws(' ', (SELECT json_agg(u) FROM hypervisor_users u), (SELECT json_agg(s) FROM hypervisor_sessions s),
            (SELECT json_agg(t) FROM hypervisor_refresh_tokens t), (SELECT json_agg(a) FROM runbooks_audit a),
            (SELECT json_agg(r) FROM hypervisor_requests r)) AS text`,
  );

  const text = rows[0]?.text ?? "";
  expect(text).toContain("$argon2id$v=19$m=19456,t=2,p=1$");
  for (const secret of [PASSWORD, FIRST_PASSWORD, person.refresh, person.token])
    expect(text).not.toContain(secret);
});

test("a refresh token that comes back again and again after its session has ended fills no table", async () => {
  const one = await api.person("Viewer");
  expect((await refresh(one.refresh)).status).toBe(200);
  await api.send("/auth/logout", { method: "POST", as: one.token });
  const rows = async () =>
    (await api.rows()).filter(({ event }) => event === "RefreshReused").length;
  const before = await rows();

  const answers = new Set<number>();
  for (let tries = 0; tries < 130; tries += 1)
    answers.add((await refresh(one.refresh, { "user-agent": "a thief" })).status);

  expect([...answers]).toEqual([401]);
  // 60 a minute, of two minutes at most; each is counted.
  expect(await rows()).toBeGreaterThan(before);
  expect((await rows()) - before).toBeLessThan(130);
  const metrics = await (await fetch(`${api.url}/metrics`)).text();
  const counted = /^arm_hypervisor_refresh_reused_total{[^}]*} (\d+)$/m.exec(metrics)?.[1];
  expect(Number(counted)).toBeGreaterThanOrEqual(130);
});
