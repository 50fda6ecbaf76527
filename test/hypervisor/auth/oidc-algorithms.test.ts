import { createHmac, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { SignJWT } from "jose";
import { givenHypervisor, type Hypervisor } from "../given.ts";

/** What the issuer publishes, without a word about what each is for: which algorithm is believed is ours to say. */
const KEYS = {
  rsa: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  p256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  p384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  p521: generateKeyPairSync("ec", { namedCurve: "P-521" }),
  ed25519: generateKeyPairSync("ed25519"),
};
const shared = randomBytes(32);

let issuer: Server;
let url: string;
let api: Hypervisor;
beforeAll(async () => {
  const keys: object[] = Object.entries(KEYS).map(([kid, { publicKey }]) => ({
    ...publicKey.export({ format: "jwk" }),
    kid,
  }));
  keys.push({ kty: "oct", k: shared.toString("base64url"), kid: "shared" });
  issuer = createServer((request, response) => {
    const discovery = { issuer: url, jwks_uri: `${url}/keys` };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(request.url === "/keys" ? { keys } : discovery));
  });
  await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  api = await givenHypervisor({ OIDC_ISSUER: url });
  const body = { username: "olga", role: "Viewer", password: null };
  await api.send("/api/v1/users", { method: "POST", body });
});
afterAll(async () => {
  await api.stop();
  issuer.closeAllConnections();
  issuer.close();
});

function claims(): Readonly<Record<string, unknown>> {
  const now = Math.floor(Date.now() / 1000);
  const times = { iat: now, exp: now + 300 };
  return { iss: url, aud: "fettle-hypervisor", sub: "u", preferred_username: "olga", ...times };
}
const statusOf = async (as: string) => (await api.send("/auth/me", { as })).status;

test.each([
  ...(["RS256", "PS256"] as const).map((alg) => [alg, "rsa", 200] as const),
  ["ES256", "p256", 200],
  ["EdDSA", "ed25519", 200],
  ...(["RS384", "RS512", "PS384", "PS512"] as const).map((alg) => [alg, "rsa", 401] as const),
  ["ES384", "p384", 401],
  ["ES512", "p521", 401],
  ["Ed25519", "ed25519", 401],
] as const)("a good signature by %s, with the published key %s: %i", async (alg, kid, status) => {
  const token = new SignJWT({ ...claims() }).setProtectedHeader({ alg, kid });

  expect(await statusOf(await token.sign(KEYS[kid].privateKey))).toBe(status);
});

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test.each<[string, string, (key: KeyObject) => string | Buffer]>([
  ["PEM", "rsa", (key) => key.export({ format: "pem", type: "spki" })],
  ["DER", "rsa", (key) => key.export({ format: "der", type: "spki" })],
  ["PKCS#1 PEM", "rsa", (key) => key.export({ format: "pem", type: "pkcs1" })],
  ["modulus", "rsa", (key) => Buffer.from(key.export({ format: "jwk" }).n ?? "", "base64url")],
  ["PEM", "p256", (key) => key.export({ format: "pem", type: "spki" })],
  ["PEM", "ed25519", (key) => key.export({ format: "pem", type: "spki" })],
  [
    "raw point",
    "ed25519",
    (key) => Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url"),
  ],
  ["own secret, which it should not publish", "shared", () => shared],
])(
  "what everybody knows is no secret: HS256, 384 and 512 with the %s of %s",
  async (_, kid, of) => {
    const { publicKey } = Object.entries(KEYS).find(([name]) => name === kid)?.[1] ?? KEYS.rsa;
    const tokens = ["256", "384", "512"].map((bits) => {
      const text = `${part({ alg: `HS${bits}`, kid })}.${part(claims())}`;
      const signature = createHmac(`sha${bits}`, of(publicKey)).update(text).digest("base64url");
      return `${text}.${signature}`;
    });

    expect(await Promise.all(tokens.map(statusOf))).toEqual([401, 401, 401]);
  },
);

test.each(["none", "None", "NONE", ""])("the algorithm %j is none", async (alg) => {
  const tokens = Object.keys(KEYS).map((kid) => `${part({ alg, kid })}.${part(claims())}.`);

  expect(new Set(await Promise.all(tokens.map(statusOf)))).toEqual(new Set([401]));
});
