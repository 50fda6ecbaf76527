import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { decodeJwt, EncryptJWT, SignJWT, type JWTPayload } from "jose";
import { createAccessTokens } from "../../../hypervisor/auth/access-token.ts";
import { keysOfDatabase } from "../../../hypervisor/auth/keys.ts";
import { oidcTokens } from "../../../hypervisor/auth/oidc.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { startOidcIssuer, type OidcIssuer } from "../../fakes/oidc-issuer.ts";
import { fresh, givenHypervisor, PASSWORD, type Hypervisor } from "../given.ts";

let issuer: OidcIssuer;
let api: Hypervisor;
let thief: Server;
/** What was asked of the thief's server, which serves a key of theirs to everything. */
const asked: string[] = [];
const theirs = generateKeyPairSync("ed25519");

beforeAll(async () => {
  issuer = await startOidcIssuer();
  api = await givenHypervisor({ OIDC_ISSUER: issuer.url });
  const keys = [{ ...theirs.publicKey.export({ format: "jwk" }), kid: "theirs", alg: "EdDSA" }];
  thief = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  thief.close();
  await api.stop();
  await issuer.stop();
});
beforeEach(async () => {
  await api.database.query("DELETE FROM hypervisor_login_failures");
});

const me = async (as: string) => (await api.send("/auth/me", { as })).status;
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

async function ownKey() {
  const { rows } = await api.database.query<{ kid: string; private_pem: string }>(
    "SELECT kid, private_pem FROM hypervisor_signing_keys ORDER BY created_at DESC LIMIT 1",
  );
  const [row] = rows;
  if (row === undefined) throw new Error("no key");
  return { kid: row.kid, key: createPrivateKey(row.private_pem) };
}

async function statuses(tokens: Readonly<Record<string, string>>) {
  const answers = await Promise.all(
    Object.entries(tokens).map(async ([what, token]) => [what, await me(token)] as const),
  );
  return Object.fromEntries(answers);
}
const all = (tokens: object, status: number) =>
  Object.fromEntries(Object.keys(tokens).map((what) => [what, status]));

test("what a token's header says about keys and algorithms is not believed, and nothing is fetched", async () => {
  const { token } = await api.person("Admin");
  const { kid, key } = await ownKey();
  const claims = decodeJwt(token);
  const place = `http://127.0.0.1:${(thief.address() as AddressInfo).port}/keys`;
  const header = { alg: "EdDSA", typ: "at+jwt", kid };
  const sign = async (more: object, with_ = theirs.privateKey) =>
    new SignJWT(claims).setProtectedHeader({ ...header, ...more }).sign(with_);
  /** Signed right, by any header at all: libraries refuse to make some. */
  const raw = (head: unknown, secret: string | Buffer, digest: "sha256" | "sha512" = "sha256") => {
    const text = `${part(head)}.${part(claims)}`;
    return `${text}.${createHmac(digest, secret).update(text).digest("base64url")}`;
  };
  const publicKey = createPublicKey(key);
  const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const publicDer = publicKey.export({ type: "spki", format: "der" });
  const { x = "" } = publicKey.export({ format: "jwk" });
  const forged = {
    jku: await sign({ jku: place, kid: "theirs" }),
    x5u: await sign({ x5u: place, kid: "theirs" }),
    "jku with our kid": await sign({ jku: place }),
    "jwk in the header": await sign({ jwk: theirs.publicKey.export({ format: "jwk" }) }),
    "x5c in the header": await sign({ x5c: ["AAAA"] }),
    "kid as a statement": await sign({ kid: "' UNION SELECT 'x', 'y', now() --" }),
    "kid of the prototype": await sign({ kid: "__proto__" }),
    "kid as a path": await sign({ kid: "/proc/self/environ" }),
    "kid of 10,000 characters": await sign({ kid: "k".repeat(10_000) }),
    "kid as a list": raw({ ...header, kid: [kid] }, "x"),
    "HS256 with the public PEM": raw({ ...header, alg: "HS256" }, publicPem),
    "HS256 with the public DER": raw({ ...header, alg: "HS256" }, publicDer),
    "HS512 with the public point": raw(
      { ...header, alg: "HS512" },
      Buffer.from(x, "base64url"),
      "sha512",
    ),
    "HS256 with the kid": raw({ ...header, alg: "HS256" }, kid),
    "alg nONE": `${part({ ...header, alg: "nONE" })}.${part(claims)}.`,
    "an alg that is a list": raw({ ...header, alg: ["EdDSA", "none"] }, "x"),
    "an unknown critical extension": await sign({ crit: ["exp"], exp: 1 }, key).catch(
      () => "a.b.c",
    ),
    "a payload that is not encoded": raw({ ...header, b64: false, crit: ["b64"] }, "x"),
    encrypted: await new EncryptJWT(claims)
      .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid })
      .encrypt(Buffer.alloc(32)),
    "a header twice": token.replace(".", `.${part(header)}.`),
    "padding at the end": `${token}==`,
    "another curve's signature": `${token.slice(0, token.lastIndexOf("."))}.${"A".repeat(86)}`,
  };

  expect(await statuses(forged)).toEqual(all(forged, 401));
  expect(asked).toEqual([]);
  expect(await me(await sign({}, key))).toBe(200); // the list can fail
});

test("an issuer's token does not become ours, nor ours the issuer's", async () => {
  const { token, name } = await api.person("Admin");
  const { kid, key } = await ownKey();
  const claims = decodeJwt(token);
  const audience = { aud: "fettle-hypervisor", preferred_username: name };
  const keys = (await (await fetch(`${issuer.url}/keys`)).json()) as {
    keys: { kid: string; x: string }[];
  };
  const [published] = keys.keys;
  const text = `${part({ alg: "HS256", kid: published?.kid })}.${part({ ...audience, iss: issuer.url, sub: "x", iat: 1, exp: 9e9 })}`;
  const place = `http://127.0.0.1:${(thief.address() as AddressInfo).port}/keys`;
  const signAs = async (payload: JWTPayload, with_ = key, id = kid) =>
    new SignJWT(payload).setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: id }).sign(with_);
  const forged = {
    "our claims, the issuer's key": await issuer.sign(
      { ...claims, iss: "fettle" },
      { typ: "at+jwt" },
    ),
    "the issuer's name, our key": await signAs({ ...claims, iss: issuer.url, ...audience }),
    "the issuer's name with a slash": await issuer.sign({ ...audience, iss: `${issuer.url}/` }),
    "another issuer": await issuer.sign({ ...audience, iss: "https://evil.example.com" }),
    "two issuers": await issuer.sign({ ...audience, iss: [issuer.url, "fettle"] }),
    "HS256 with the issuer's public key": `${text}.${createHmac("sha256", published?.x ?? "")
      .update(text)
      .digest("base64url")}`,
    "jku to elsewhere": await issuer.sign(audience, { jku: place, kid: "theirs" }),
    "another's key under the issuer's name": await signAs(
      { ...audience, iss: issuer.url, sub: "x", iat: 1, exp: 9e9 },
      theirs.privateKey,
      "theirs",
    ),
  };

  expect(await statuses(forged)).toEqual(all(forged, 401));
  expect(asked).toEqual([]);
});

test.each([
  ["just expired, within the skew", { exp: -4 }, true],
  ["expired", { exp: -6 }, false],
  ["begins within the skew", { nbf: 4 }, true],
  ["begins later", { nbf: 7 }, false],
  ["issued a little ahead of us", { iat: 4, exp: 100 }, true],
  ["issued in the future", { iat: 60, exp: 600 }, false],
  ["as old as may be", { iat: -604, exp: 1 }, true],
  ["older, whatever its end says", { iat: -606, exp: 600 }, false],
])("our clock decides: a token that is %s", async (_what, times, good) => {
  const { token } = await api.person("Viewer");
  const { kid, key } = await ownKey();
  const now = Math.floor(Date.now() / 1000);
  const at = Object.fromEntries(
    Object.entries({ iat: 0, nbf: -10, exp: 10, ...times }).map(([name, offset]) => [
      name,
      now + offset,
    ]),
  );
  const clock = fakeClock(new Date(now * 1000).toISOString());
  const tokens = createAccessTokens(keysOfDatabase(api.database), clock);

  const signed = await new SignJWT({ ...decodeJwt(token), ...at })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid })
    .sign(key);

  expect(typeof (await tokens.verify(signed)) === "object").toBe(good);
});

test.each([
  [-29, true],
  [-31, false],
])("a token of the issuer that ended %i s ago: %j", async (exp, good) => {
  const name = fresh("person");
  const body = { username: name, role: "Viewer", password: null };
  await api.send("/api/v1/users", { method: "POST", body });
  const now = Math.floor(Date.now() / 1000);
  const options = {
    issuer: issuer.url,
    audience: "fettle-hypervisor",
    usernameClaim: "preferred_username",
  };
  const kind = oidcTokens(api.database, options, fakeClock(new Date(now * 1000).toISOString()));

  const token = await issuer.sign({
    aud: "fettle-hypervisor",
    preferred_username: name,
    iat: now - 300,
    exp: now + exp,
  });

  expect(await kind.identify(token)).toMatchObject({ known: good });
});

test("one kind of secret does not pass for another", async () => {
  const { token, refresh } = await api.person("Viewer");
  const exchange = async (refresh_token: string) =>
    (await api.send("/auth/refresh", { method: "POST", as: "", body: { refresh_token } })).status;

  expect([
    await me(refresh),
    await exchange(token.slice(0, 256)),
    await exchange("' OR 1=1"),
  ]).toEqual([401, 401, 401]);
  expect(await exchange(refresh)).toBe(200);
});

test("twenty refreshes at once with one token are one refresh; a session ends after 12 hours whatever is refreshed", async () => {
  const { name, refresh } = await api.person("Viewer");
  const exchange = async (refresh_token: string) =>
    api.send("/auth/refresh", { method: "POST", as: "", body: { refresh_token } });

  const answers = await Promise.all(Array.from({ length: 20 }, async () => exchange(refresh)));

  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map(({ body }) => body["refresh_token"])).size).toBe(1);
  await api.database.query(
    `UPDATE hypervisor_sessions SET expires_at = expires_at - interval '12 hours' WHERE username = $1`,
    [name],
  );
  expect((await exchange(String(answers[0]?.body["refresh_token"]))).status).toBe(401);
});

test("a stolen token that is used at the same moment as its owner's ends the session for both", async () => {
  const { refresh } = await api.person("Viewer");
  const exchange = async (agent: string, refresh_token = refresh) =>
    api.send("/auth/refresh", {
      method: "POST",
      as: "",
      body: { refresh_token },
      headers: { "user-agent": agent },
    });

  const both = await Promise.all([exchange("owner"), exchange("thief")]);

  expect(both.map(({ status }) => status).toSorted()).toEqual([200, 401]);
  const won = both.find(({ status }) => status === 200);
  expect(await me(String(won?.body["access_token"]))).toBe(401);
  expect((await exchange("owner", String(won?.body["refresh_token"]))).status).toBe(401);
});

test("all doors at which a password is asked for count the same guesses, whatever the request says of its address", async () => {
  const { name, token } = await api.person("Viewer");
  const wrong = "wrong password";
  const body = { current_password: wrong, new_password: "three green bicycles" };
  const headers = { "x-forwarded-for": "203.0.113.7", forwarded: "for=203.0.113.8" };
  const mint = { name: "ci", permissions: [], current_password: wrong };

  const answers = [
    await api.send("/auth/token", {
      method: "POST",
      as: "",
      body: { username: name, password: wrong },
    }),
    await api.send("/auth/token", {
      method: "POST",
      as: "",
      headers,
      body: { username: name, password: wrong },
    }),
    await api.send("/auth/password", { method: "POST", as: token, headers, body }),
    await api.send("/auth/password?dryRun=true", { method: "POST", as: token, body }),
    await api.send("/api/v1/tokens", { method: "POST", as: token, body: mint }),
    await api.login(name, PASSWORD),
  ];

  expect(answers.map(({ status }) => status)).toEqual([401, 401, 403, 403, 403, 429]);
});
