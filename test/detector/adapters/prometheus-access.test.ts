import { readFileSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type IncomingHttpHeaders } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Server as AnyServer } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { connectPrometheus } from "../../../detector/adapters/prometheus.ts";
import { readDetectorConfig } from "../../../detector/config.ts";
import { ConfigError } from "../../../lib/config.ts";
import { recordingLog } from "../../fakes/recording-log.ts";
import { makeCertificates, type Certificates } from "../given-certificates.ts";

const MINUTE = { from: 60_000, to: 60_000, step: 60_000 };
const ANSWER =
  '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[60,"7"]}]}}';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});
afterAll(async () => certificates.remove());

const servers: (AnyServer & { closeAllConnections(): void })[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly client: string | undefined;
}

/** A Prometheus behind TLS that takes only clients of its authority, and says who came. */
async function secureServer({ askClient }: { readonly askClient: boolean }): Promise<{
  readonly url: string;
  readonly seen: Seen[];
}> {
  const seen: Seen[] = [];
  let client: string | undefined;
  const server: Server = createServer(
    {
      cert: readFileSync(certificates.server.cert),
      key: readFileSync(certificates.server.key),
      ca: readFileSync(certificates.authority),
      requestCert: askClient,
      rejectUnauthorized: askClient,
    },
    (request, response) => {
      seen.push({ headers: request.headers, client });
      request.resume();
      response.end(ANSWER);
    },
  );
  server.on("secureConnection", (socket) => {
    const subject = socket.getPeerCertificate().subject as { readonly CN?: string } | undefined;
    client = subject?.CN;
  });
  return { url: `https://127.0.0.1:${await listening(server)}`, seen };
}

async function listening(server: AnyServer & { closeAllConnections(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

async function ask(env: Record<string, string>): Promise<unknown> {
  const { prometheus } = readDetectorConfig(env);
  const source = connectPrometheus({ ...prometheus, firstDelayMs: 1, timeoutMs: 3_000 });
  return source.query("up", MINUTE);
}

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readDetectorConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const ONE_SERIES = [{ labels: { a: "b" }, points: [{ t: 60_000, value: 7 }] }];

test("with PROM_CA_FILE a server of a private authority is believed, without it nobody is asked", async () => {
  const { url, seen } = await secureServer({ askClient: false });

  await expect(ask({ PROM_URL: url })).rejects.toThrow("Prometheus does not answer");
  expect(seen).toEqual([]);
  expect(await ask({ PROM_URL: url, PROM_CA_FILE: certificates.authority })).toEqual(ONE_SERIES);
});

test("PROM_CERT_FILE and PROM_KEY_FILE show the client's certificate; without one the server hangs up", async () => {
  const { url, seen } = await secureServer({ askClient: true });
  const trusting = { PROM_URL: url, PROM_CA_FILE: certificates.authority };
  const { cert, key } = certificates.client;

  await expect(ask(trusting)).rejects.toThrow("Prometheus does not answer");
  const answer = await ask({ ...trusting, PROM_CERT_FILE: cert, PROM_KEY_FILE: key });

  expect(answer).toEqual(ONE_SERIES);
  expect(seen.map(({ client }) => client)).toEqual(["client"]);
});

test("rotated files are used within a minute, for new connections; files that cannot be used are not", async () => {
  const { url, seen } = await secureServer({ askClient: true });
  const paths = { ca: "ca", cert: "cert", key: "key" };
  for (const name of ["ca", "cert", "key"] as const)
    paths[name] = `${certificates.authority}.rotating.${name}`;
  await copyFile(certificates.authority, paths.ca);
  const show = async (pair: { readonly cert: string; readonly key: string }) => {
    await copyFile(pair.cert, paths.cert);
    await copyFile(pair.key, paths.key);
  };
  await show(certificates.client);
  const env = { PROM_CA_FILE: paths.ca, PROM_CERT_FILE: paths.cert, PROM_KEY_FILE: paths.key };
  const { prometheus } = readDetectorConfig({ PROM_URL: url, ...env });
  const log = recordingLog();
  let now = Date.now();
  const clock = { now: () => new Date(now) };
  const source = connectPrometheus({ ...prometheus, firstDelayMs: 1, log, clock });
  const client = async () => {
    await source.query("up", { from: 0, to: 0, step: 60_000 });
    return seen.at(-1)?.client;
  };

  expect(await client()).toBe("client");
  await show(certificates.server);
  expect(await client()).toBe("client");
  now += 61_000;
  expect(await client()).toBe("server");
  await writeFile(paths.key, "half a file");
  now += 61_000;
  expect(await client()).toBe("server");
  now += 61_000;
  expect(await client()).toBe("server");

  const [rotated, unreadable, ...more] = log.text().split("\n");
  expect(rotated).toContain("info rotated certificates in use owner=Prometheus");
  expect(unreadable).toMatch(/^warn certificates cannot be read, the last ones stay .*key: /);
  expect(more).toEqual([]);
  expect(log.text()).not.toContain("PRIVATE KEY");
});

test("user, password and tenant go along with every question", async () => {
  const { url, seen } = await secureServer({ askClient: false });

  await ask({
    PROM_URL: url,
    PROM_CA_FILE: certificates.authority,
    PROM_USERNAME: "fettle",
    PROM_PASSWORD: "pass:wörd",
    PROM_TENANT: "team-a|team-b",
  });

  expect(seen[0]?.headers).toMatchObject({
    authorization: `Basic ${Buffer.from("fettle:pass:wörd").toString("base64")}`,
    "x-scope-orgid": "team-a|team-b",
  });
});

test("a redirect is not followed: the credential goes to the configured server only", async () => {
  const { url: target, seen } = await secureServer({ askClient: false });
  const port = await listening(
    createHttpServer((_request, response) => {
      response.writeHead(307, { location: `${target}/api/v1/query` }).end();
    }),
  );

  await expect(ask({ PROM_URL: `http://127.0.0.1:${port}`, PROM_TOKEN: "secret" })).rejects.toThrow(
    "Prometheus answered 307",
  );
  expect(seen).toEqual([]);
});

test("a packed answer is unpacked, a bomb is not", async () => {
  const answers = [gzipSync(ANSWER), gzipSync(Buffer.alloc(100_000)), gzipSync(ANSWER).subarray(9)];
  const port = await listening(
    createHttpServer((request, response) => {
      request.resume();
      response.writeHead(200, { "content-encoding": "gzip" }).end(answers.shift());
    }),
  );
  const options = { url: `http://127.0.0.1:${port}`, firstDelayMs: 1, answerBytesMax: 10_000 };
  const source = connectPrometheus({ ...options, timeoutMs: 3_000 });

  expect(await source.query("up", MINUTE)).toEqual(ONE_SERIES);
  await expect(source.query("up", MINUTE)).rejects.toThrow("larger than 10000 bytes");
  answers.push(gzipSync(ANSWER));
  expect(await source.query("up", MINUTE)).toEqual(ONE_SERIES);
});

test("a base path in PROM_URL stays, as Mimir's /prometheus does", async () => {
  const paths: (string | undefined)[] = [];
  const port = await listening(
    createHttpServer((request, response) => {
      paths.push(request.url);
      request.resume();
      response.end(ANSWER);
    }),
  );

  await ask({ PROM_URL: `http://127.0.0.1:${port}/prometheus/` });

  expect(paths).toEqual(["/prometheus/api/v1/query"]);
});

test("what is wrong with the credentials is said by the variable's name, all of it at once", async () => {
  const { cert, key } = certificates.client;
  const https = { PROM_URL: "https://prometheus:9090" };
  const noPem = `${certificates.authority}.txt`;
  await writeFile(noPem, "hello");
  const firstWords = (env: Record<string, string>): string[] =>
    problemsOf(env).map((problem) => problem.split(":", 1)[0] ?? "");

  expect(problemsOf({ PROM_USERNAME: "a:b", PROM_TENANT: "x y" })).toEqual([
    "PROM_PASSWORD: is required when PROM_USERNAME is set",
    "PROM_USERNAME: must not contain a colon",
    expect.stringMatching(/^PROM_TENANT: must match .+, got "x y"$/),
  ]);
  expect(problemsOf({ PROM_PASSWORD: "p" })).toEqual([
    "PROM_USERNAME: is required when PROM_PASSWORD is set",
  ]);
  expect(firstWords({ PROM_USERNAME: "a", PROM_PASSWORD: "b", PROM_TOKEN: "c" })).toEqual([
    "PROM_USERNAME",
  ]);
  expect(problemsOf({ PROM_CA_FILE: certificates.authority })).toEqual([
    "PROM_CA_FILE: needs an https:// address in PROM_URL",
  ]);
  expect(firstWords({ ...https, PROM_CA_FILE: noPem, PROM_CERT_FILE: "/none" })).toEqual([
    "PROM_KEY_FILE",
    "PROM_CA_FILE",
    "PROM_CERT_FILE",
  ]);
  expect(
    problemsOf({ ...https, PROM_CERT_FILE: cert, PROM_KEY_FILE: certificates.server.key }),
  ).toEqual([expect.stringMatching(/^PROM_KEY_FILE: does not fit the certificate: .*mismatch/)]);
  expect(problemsOf({ ...https, PROM_CERT_FILE: cert, PROM_KEY_FILE: key })).toEqual([]);
});
