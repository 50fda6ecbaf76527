import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";

export interface OidcIssuer {
  readonly url: string;
  /** Paths that were asked for. */
  readonly asked: readonly string[];
  readonly sign: (
    claims: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, string>>,
  ) => Promise<string>;
  /** Signs with a new key from now on, and publishes both. */
  readonly rotate: () => void;
  /** What is said to everything, while it is set. */
  fault: number | undefined;
  readonly stop: () => Promise<void>;
}

interface Key {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** An OpenID Connect issuer on loopback: discovery and keys. */
export async function startOidcIssuer(): Promise<OidcIssuer> {
  const keys: Key[] = [];
  const asked: string[] = [];
  const rotate = () => {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    keys.unshift({ kid: `key-${keys.length}`, ...pair });
  };
  rotate();
  const server = createServer((request, response) => {
    const { url = "" } = request;
    asked.push(url);
    const documents: Readonly<Record<string, object>> = {
      "/.well-known/openid-configuration": { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` },
      "/keys": {
        keys: keys.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: "jwk" }), kid })),
      },
    };
    const document = issuer.fault === undefined ? documents[url] : undefined;
    response.writeHead(document === undefined ? (issuer.fault ?? 404) : 200, {
      "content-type": "application/json",
    });
    response.end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer: OidcIssuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    fault: undefined,
    rotate,
    sign: async (claims, header = {}) => {
      const [key] = keys;
      if (key === undefined) throw new Error("no key");
      const now = Math.floor(Date.now() / 1000);
      const { preferred_username: name } = claims;
      const sub = typeof name === "string" ? `u-${name}` : "u-1"; // an account each
      const all = { iss: issuer.url, sub, iat: now, exp: now + 300, ...claims };
      return new SignJWT(all)
        .setProtectedHeader({ alg: "ES256", kid: key.kid, ...header })
        .sign(key.privateKey);
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}
