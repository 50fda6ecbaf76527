import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { oidcTokens } from "../../../hypervisor/auth/oidc.ts";
import { readHypervisorConfig } from "../../../hypervisor/main.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { startOidcIssuer, type OidcIssuer } from "../../fakes/oidc-issuer.ts";
import { fresh, givenHypervisor, PASSWORD, type Hypervisor } from "../given.ts";

const AUDIENCE = "fettle-hypervisor";

let issuer: OidcIssuer;
let api: Hypervisor;
beforeAll(async () => {
  issuer = await startOidcIssuer();
  api = await givenHypervisor({ OIDC_ISSUER: issuer.url });
  for (const [username, enabled] of [
    ["olga", true],
    ["off", false],
  ] as const) {
    const body = { username, role: "Viewer", password: null };
    await api.send("/api/v1/users", { method: "POST", body });
    await api.send(`/api/v1/users/${username}`, { method: "PUT", body: { enabled } });
  }
});
afterAll(async () => {
  await api.stop();
  await issuer.stop();
});

const claims = { aud: AUDIENCE, preferred_username: "olga" };
const me = async (token: string) => api.send("/auth/me", { as: token });

test("the issuer says who it is, and the user here says what they may do", async () => {
  const { status, body } = await me(
    await issuer.sign({ ...claims, role: "Admin", roles: ["Admin"] }),
  );

  expect([status, body["name"], body["via"], body["role"]]).toEqual([
    200,
    "olga",
    "oidc",
    "Viewer",
  ]);
});

test("who signs in with a password here, or is the default admin, does not come in by a name at the issuer", async () => {
  const person = await api.person("Operator");
  const as = async (preferred_username: string) =>
    (await me(await issuer.sign({ ...claims, preferred_username }))).status;

  const answers = [await as(person.name), await as("admin")];
  await api.database.query(
    "UPDATE hypervisor_users SET password_hash = NULL WHERE username IN ('admin', $1)",
    [person.name],
  );

  expect([...answers, await as("admin"), await as(person.name)]).toEqual([401, 401, 401, 200]);
});

/** A user without a password, who comes in by the issuer. */
async function givenUser(more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const username = fresh("person");
  const body = { username, role: "Viewer", password: null, ...more };
  const made = await api.send("/api/v1/users", { method: "POST", body });
  if (made.status !== 201) throw new Error(made.detail);
  return username;
}
const tokenOf = async (preferred_username: string, sub: string) =>
  issuer.sign({ aud: AUDIENCE, preferred_username, sub });

test("the first who comes by a name is bound to it by their account, on record", async () => {
  const name = await givenUser();

  expect((await me(await tokenOf(name, "first"))).body["name"]).toBe(name);

  const rows = (await api.rows()).filter(({ target }) => target === `hypervisor//user/${name}`);
  expect(rows.map(({ actor, event }) => `${actor} ${event}`)).toEqual([
    "api-token UserCreated",
    `${name} IdentityBound`,
  ]);
  const shown = await api.send(`/api/v1/users/${name}`);
  expect(shown.body["oidc_subject"]).toBe("first");
});

test("an account that is made again under an old name does not inherit, and a renamed one stays who it was", async () => {
  const [name, other] = [await givenUser(), await givenUser()];
  await me(await tokenOf(name, `${name}-old`));

  const again = await me(await tokenOf(name, `${name}-new`));
  const renamed = await me(await tokenOf(other, `${name}-old`));

  expect([again.status, again.detail]).toEqual([
    401,
    expect.stringMatching(/its name belongs to another account of the issuer/),
  ]);
  expect([renamed.status, renamed.body["name"]]).toEqual([200, name]);
});

test("of two accounts that come by one name at once one is bound", async () => {
  const name = await givenUser();
  const tokens = await Promise.all(
    Array.from({ length: 6 }, async (_, nth) => tokenOf(name, `${name}-${nth}`)),
  );

  const answers = await Promise.all(tokens.map(me));

  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  const again = await Promise.all(tokens.map(me));
  expect(again.map(({ status }) => status)).toEqual(answers.map(({ status }) => status));
});

test("a program's user, which has API tokens, is nobody's by name", async () => {
  const name = await givenUser();
  const body = { name: "ci", owner: name, permissions: [] };
  await api.send("/api/v1/tokens", { method: "POST", body });

  const answer = await me(await tokenOf(name, `${name}-1`));

  expect([answer.status, answer.detail]).toEqual([401, expect.stringMatching(/oidc_subject/)]);
});

test("whoever may change a user says which account it is, and takes that back", async () => {
  const name = await givenUser({ oidc_subject: fresh("sub") });
  const put = async (oidc_subject: string | null) =>
    api.send(`/api/v1/users/${name}`, { method: "PUT", body: { oidc_subject } });
  const as = async (sub: string) => (await me(await tokenOf(name, sub))).status;

  expect(await as(`${name}-1`)).toBe(401);
  expect((await put(`${name}-1`)).status).toBe(200);
  expect([await as(`${name}-1`), await as(`${name}-2`)]).toEqual([200, 401]);
  const taken = await api.send(`/api/v1/users/olga`, {
    method: "PUT",
    body: { oidc_subject: `${name}-1` },
  });
  expect([taken.status, taken.detail]).toEqual([409, expect.stringContaining(name)]);
  await put(null);
  expect([await as(`${name}-2`), await as(`${name}-1`)]).toEqual([200, 401]);
});

test("what somebody has made as an account of the issuer is not the next one's", async () => {
  const name = await givenUser();
  const body = { name: "ci", permissions: [] };
  const now = Math.floor(Date.now() / 1000);
  const as = await issuer.sign({ aud: AUDIENCE, preferred_username: name, auth_time: now });
  const made = await api.send("/api/v1/tokens", { method: "POST", as, body });
  const put = async (oidc_subject: string) =>
    api.send(`/api/v1/users/${name}`, { method: "PUT", body: { oidc_subject } });

  await put(`u-${name}`);
  const same = await me(String(made.body["token"]));
  await put("another");

  expect([same.status, (await me(String(made.body["token"]))).status]).toEqual([200, 401]);
});

test("with a password nobody has an account at the issuer as well, and nobody binds their own", async () => {
  const body = { username: fresh("both"), role: "Viewer", oidc_subject: "x", password: PASSWORD };
  const both = await api.send("/api/v1/users", { method: "POST", body });
  const admin = await api.person("Admin");
  const own = await api.send(`/api/v1/users/${admin.name}`, {
    method: "PUT",
    as: admin.token,
    body: { oidc_subject: "x" },
  });

  expect([both.status, both.detail]).toEqual([400, expect.stringMatching(/^oidc_subject: /)]);
  expect(own.status).toBe(403);
});

test("an API token is made by who signed in at the issuer within ten minutes, if it says so", async () => {
  const name = await givenUser();
  const now = Math.floor(Date.now() / 1000);
  const mint = async (more: Readonly<Record<string, unknown>>) => {
    const as = await issuer.sign({ aud: AUDIENCE, preferred_username: name, ...more });
    const body = { name: "ci", permissions: [] };
    return (await api.send("/api/v1/tokens", { method: "POST", as, body })).status;
  };

  const answers = [
    await mint({}),
    await mint({ auth_time: now - 601 }),
    await mint({ auth_time: now - 60 }),
  ];

  expect(answers).toEqual([401, 401, 201]);
});

test("keys are asked for once, and again when a new one signs", async () => {
  await me(await issuer.sign(claims));
  const before = issuer.asked.length;
  await me(await issuer.sign(claims));
  expect(issuer.asked.length).toBe(before);

  issuer.rotate();

  // The library asks at most twice a minute: a new service sees both keys.
  const kind = oidcTokens(
    api.database,
    { issuer: issuer.url, audience: AUDIENCE, usernameClaim: "preferred_username" },
    fakeClock(new Date().toISOString()),
  );
  expect(await kind.identify(await issuer.sign(claims))).toMatchObject({ known: true });
});

test("who is unknown or disabled here, and tokens that are not for us, are answered 401", async () => {
  const token = await issuer.sign(claims);
  const [, payload = ""] = token.split(".");
  const hs = `${Buffer.from(JSON.stringify({ alg: "HS256" })).toString("base64url")}.${payload}`;
  const now = Math.floor(Date.now() / 1000);
  const strange: Readonly<Record<string, string>> = {
    "another audience": await issuer.sign({ ...claims, aud: "somebody-else" }),
    "no audience": await issuer.sign({ preferred_username: "olga" }),
    expired: await issuer.sign({ ...claims, iat: now - 600, exp: now - 300 }),
    unknown: await issuer.sign({ ...claims, preferred_username: "nobody" }),
    disabled: await issuer.sign({ ...claims, preferred_username: "off" }),
    "no name": await issuer.sign({ aud: AUDIENCE }),
    "a name that is a list": await issuer.sign({ ...claims, preferred_username: ["olga"] }),
    "alg none": `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`,
    HS256: `${hs}.${createHmac("sha256", "").update(hs).digest("base64url")}`,
    "another kid": await issuer.sign(claims, { kid: "nobody" }),
  };

  const answers = await Promise.all(
    Object.entries(strange).map(async ([what, each]) => [what, (await me(each)).status]),
  );

  expect(Object.fromEntries(answers)).toEqual(
    Object.fromEntries(Object.keys(strange).map((what) => [what, 401])),
  );
});

test("while the issuer is down its tokens are answered 503, and nobody else notices", async () => {
  const clock = fakeClock("2026-11-21T12:00:00Z");
  const kind = oidcTokens(
    api.database,
    { issuer: issuer.url, audience: AUDIENCE, usernameClaim: "preferred_username" },
    clock,
  );
  issuer.fault = 500;
  const token = await issuer.sign(claims);

  await expect(kind.identify(token)).rejects.toMatchObject({ status: 503 });
  await expect(kind.identify("aio_x")).resolves.toBeUndefined();
  issuer.fault = undefined;
  await expect(kind.identify(token)).rejects.toMatchObject({ status: 503 }); // it is left in peace for ten seconds
});

test.each([
  ["http://idp.example.com", /must be an https:\/\/ address/],
  ["idp", /must be an https:\/\/ address/],
])("the issuer %s is refused by the configuration", (OIDC_ISSUER, problem) => {
  expect(() => readHypervisorConfig({ AIOPS_DATABASE_URL: "postgres://x", OIDC_ISSUER })).toThrow(
    problem,
  );
});
