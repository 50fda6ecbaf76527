import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { oidcTokens } from "../../../hypervisor/auth/oidc.ts";
import { readHypervisorConfig } from "../../../hypervisor/main.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { startOidcIssuer, type OidcIssuer } from "../../fakes/oidc-issuer.ts";
import { givenHypervisor, type Hypervisor } from "../given.ts";

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
