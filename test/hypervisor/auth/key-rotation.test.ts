import { createPrivateKey } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { keysOfDatabase } from "../../../hypervisor/auth/keys.ts";
import { sweepPeople } from "../../../hypervisor/auth/sweep.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { givenHypervisor, senderTo, startReplica, type Hypervisor } from "../given.ts";

let api: Hypervisor;
let replica: Awaited<ReturnType<typeof startReplica>>;
let elsewhere: Hypervisor["send"];
beforeAll(async () => {
  api = await givenHypervisor();
  replica = await startReplica(api.databaseUrl);
  elsewhere = senderTo(replica.url ?? "");
});
afterAll(async () => {
  await replica.stop();
  await api.stop();
});

const rotate = async (body?: unknown) => api.send("/auth/keys/rotate", { method: "POST", body });
const kidOf = (token: unknown) => decodeProtectedHeader(String(token)).kid;
const here = async (as: string) => (await api.send("/auth/me", { as })).status;
const there = async (as: string) => (await elsewhere("/auth/me", { as })).status;
async function refreshed(send: Hypervisor["send"], refreshToken: string) {
  const body = { refresh_token: refreshToken };
  return send("/auth/refresh", { method: "POST", as: "", body });
}

test("a new key signs at once and is believed by another replica at once; tokens of the old one stay good on both", async () => {
  const before = await api.person("Viewer");
  expect([await here(before.token), await there(before.token)]).toEqual([200, 200]);

  const { status, body } = await rotate();

  const after = await api.person("Viewer");
  expect([status, kidOf(after.token)]).toEqual([201, body["kid"]]);
  expect(kidOf(before.token)).not.toBe(body["kid"]);
  expect([await there(after.token), await here(before.token), await there(before.token)]).toEqual([
    200, 200, 200,
  ]);
  const shown = await api.send("/auth/keys");
  expect(shown.body["keys"]).toMatchObject([
    { kid: body["kid"], signs: true },
    { kid: kidOf(before.token), signs: false },
  ]);
  expect(JSON.stringify(shown.body)).not.toContain("PRIVATE");
  const row = (await api.rows()).findLast(({ event }) => event === "SigningKeyRotated");
  expect(row).toMatchObject({ actor: "api-token", result: "Success" });
});

test("the other replica signs with the new key soon, without a restart", async () => {
  const one = await api.person("Viewer");
  const { body } = await rotate();
  let refreshToken = one.refresh;

  await waitUntil("the other replica's new key", async () => {
    const next = await refreshed(elsewhere, refreshToken);
    refreshToken = String(next.body["refresh_token"]);
    return kidOf(next.body["access_token"]) === body["kid"];
  });

  expect((await refreshed(api.send, refreshToken)).status).toBe(200);
});

test("a refresh whose answer was lost is answered the same after a rotation", async () => {
  const one = await api.person("Viewer");
  const first = await refreshed(api.send, one.refresh);

  await rotate();
  const again = await refreshed(api.send, one.refresh);

  expect([again.status, again.body["refresh_token"]]).toEqual([200, first.body["refresh_token"]]);
});

test("revoked keys are believed no more: here at once, elsewhere within seconds, and refreshing goes on", async () => {
  const one = await api.person("Viewer");
  expect(await there(one.token)).toBe(200);

  await rotate({ revoke: true });

  expect(await here(one.token)).toBe(401);
  await waitUntil("the end of the old key elsewhere", async () => (await there(one.token)) === 401);
  const next = await refreshed(elsewhere, one.refresh);
  expect([next.status, await here(String(next.body["access_token"]))]).toEqual([200, 200]);
});

test("a key is forgotten when no token of it can be good any more, and is erased", async () => {
  const { rows } = await api.database.query<{ kid: string; private_pem: string }>(
    "SELECT kid, private_pem FROM hypervisor_signing_keys ORDER BY created_at DESC",
  );
  const [old] = rows;
  const one = await api.person("Viewer");
  await rotate();
  await api.database.query(
    "UPDATE hypervisor_signing_keys SET created_at = created_at - interval '15 minutes'",
  );

  const ring = await keysOfDatabase(api.database).ring();
  await sweepPeople(api.database);
  await rotate({}); // reads the keys again
  const forged = await new SignJWT(decodeJwt(one.token))
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: old?.kid ?? "" })
    .sign(createPrivateKey(old?.private_pem ?? ""));

  expect([...ring.byId.keys()]).not.toContain(old?.kid);
  const left = await api.database.query<{ kid: string }>("SELECT kid FROM hypervisor_signing_keys");
  expect(left.rows.map(({ kid }) => kid)).not.toContain(old?.kid);
  expect(await here(forged)).toBe(401);
});

test("after 90 days a key is replaced by itself while the service runs, once, on record", async () => {
  await api.database.query(
    "UPDATE hypervisor_signing_keys SET created_at = created_at - interval '91 days'",
  );
  const [left, right] = [keysOfDatabase(api.database), keysOfDatabase(api.database)];

  const rings = await Promise.all([left.ring(), right.ring()]);

  expect(rings[0].current.kid).toBe(rings[1].current.kid);
  const rows = (await api.rows()).filter(
    ({ event, actor }) => `${actor} ${event}` === "fettle SigningKeyRotated",
  );
  expect(rows).toHaveLength(1);
});

test("only who may administer the system rotates, and not without end", async () => {
  const operator = await api.person("Operator");
  const refused = await api.send("/auth/keys/rotate", { method: "POST", as: operator.token });
  const answers = await Promise.all(Array.from({ length: 9 }, async () => rotate()));

  expect([refused.status, answers.some(({ status }) => status === 409)]).toEqual([403, true]);
  expect((await rotate({ revoke: true })).status).toBe(201);
});
