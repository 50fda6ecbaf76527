import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterEach, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import pg from "pg";
import SftpClient from "ssh2-sftp-client";
import { StopStack } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";
import { startAlertmanager } from "./alertmanager.ts";
import { startGnupg } from "./gnupg.ts";
import { startSftpServer, type SftpServer } from "./openssh.ts";
import { createTestDatabase, startPrivatePostgres } from "./postgres.ts";
import { startPrometheus } from "./prometheus.ts";
import { redisUrl, startPrivateRedis } from "./redis.ts";
import { programPath } from "./unprivileged.ts";

const run = promisify(execFile);

let stack = new StopStack(silentLog);
afterEach(async () => {
  await stack.stop();
  stack = new StopStack(silentLog);
});

async function query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => undefined); // the server is stopped under it on purpose
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test("gives every caller a migrated database of its own", async () => {
  const [one, other] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  stack.add("one", one.drop);
  stack.add("other", other.drop);

  await query(one.url, "CREATE TABLE only_here ()");

  const sql = "SELECT to_regclass('only_here') AS mine, to_regclass('runbooks_audit') AS migrated";
  expect(await query(other.url, sql)).toEqual([{ mine: null, migrated: "runbooks_audit" }]);
});

test("a private PostgreSQL can be frozen, stopped as if by a power cut, and started again", async () => {
  const postgres = await startPrivatePostgres();
  stack.add("postgres", postgres.remove);
  await query(postgres.url, "CREATE TABLE kept ()");
  await query(postgres.url, "CHECKPOINT"); // in one query, it would come before the table's commit

  postgres.freeze();
  await expect(query(postgres.url, "SELECT 1")).rejects.toThrow(/timeout/);
  postgres.thaw();
  await postgres.stop("immediate");
  await expect(query(postgres.url, "SELECT 1")).rejects.toThrow(/ECONNREFUSED/);
  await postgres.start();

  expect(await query(postgres.url, "SELECT to_regclass('kept') AS kept")).toEqual([
    { kept: "kept" },
  ]);
});

test("a private Redis comes back empty on the same address", async () => {
  const redis = await startPrivateRedis();
  stack.add("redis", () => redis.stop());
  const client = new Redis(redis.url, { lazyConnect: true });
  client.on("error", () => undefined); // the server is stopped under it on purpose
  stack.add("client", () => {
    client.disconnect();
  });
  await client.set("key", "value");

  await redis.stop();
  await redis.start();

  expect(await client.get("key")).toBeNull();
  expect(redisUrl()).not.toBe(redis.url);
});

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.add("listener", () => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("an alert goes from a scraped series through Prometheus and Alertmanager to a webhook", async () => {
  const received = Promise.withResolvers<{ authorization: string | undefined; body: unknown }>();
  const receiver = await listen(
    createServer((request, response) => {
      void text(request).then((body) => {
        received.resolve({
          authorization: request.headers.authorization,
          body: JSON.parse(body) as unknown,
        });
        response.end();
      });
    }),
  );
  const scraped = await listen(
    createServer((request, response) => {
      const allowed = request.headers.authorization === "Bearer scrape";
      response.writeHead(allowed ? 200 : 401).end("load 9\n");
    }),
  );
  const alertmanager = await startAlertmanager({
    receiverUrl: `http://${receiver}/hook`,
    bearerToken: "sekret",
    groupBy: ["alertname", "job"],
  });
  stack.add("alertmanager", alertmanager.stop);
  const prometheus = await startPrometheus({
    scrape: [{ job: "app", target: scraped }],
    bearer: "scrape",
    rules: ["groups: [{name: g, rules: [{alert: Loaded, expr: load > 5}]}]"],
    alertmanagerUrl: alertmanager.url,
    outOfOrderWindow: "30d",
  });
  stack.add("prometheus", prometheus.stop);

  await prometheus.waitForTarget("app");

  expect(await received.promise).toMatchObject({
    authorization: "Bearer sekret",
    body: { version: "4", status: "firing", groupLabels: { alertname: "Loaded", job: "app" } },
  });
});

const ignore = () => undefined;

async function connectSftp(server: SftpServer, seen: (fingerprint: string) => void) {
  // Without handlers of ours the library prints these events on the console.
  const client = new SftpClient("test", { error: ignore, end: ignore, close: ignore });
  await client.connect({
    ...server,
    hostVerifier: (key: Buffer) => {
      seen(`SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`);
      return true;
    },
  });
  return client;
}

test("an upload by SFTP lands in the named folder, and a stopped server cuts its sessions", async () => {
  const server = await startSftpServer();
  stack.add("sshd", server.stop);
  const fingerprints: string[] = [];
  const client = await connectSftp(server, (fingerprint) => {
    fingerprints.push(fingerprint);
  });
  const closed = new Promise<void>((resolve) => {
    client.on("close", () => {
      resolve();
    });
  });

  await client.put(Buffer.from("rows"), "relative.part");
  await client.posixRename("relative.part", `${server.folder}/absolute.csv`);

  expect(fingerprints).toEqual([server.hostKeySha256]);
  expect(await readFile(join(server.folder, "absolute.csv"), "utf8")).toBe("rows");
  expect((await stat(server.folder)).uid).not.toBe(0);
  await server.stop();
  await closed;
});

test("gpg reads a file with an imported private key", async () => {
  const [sender, reader] = [await startGnupg(), await startGnupg()];
  stack.add("sender", sender.stop);
  stack.add("reader", reader.stop);
  const { message, privateKey } = await encryptedBySomebodyElse();

  await reader.importKey(privateKey);

  expect((await reader.decryptFile(message)).toString()).toBe("secret rows");
  await expect(sender.decryptFile(message)).rejects.toThrow(/No secret key/);
});

async function encryptedBySomebodyElse() {
  const home = await mkdtemp(join(tmpdir(), "gpg-"));
  const gpg = (...args: readonly string[]) =>
    run(programPath("GPG"), ["--batch", "--quiet", "--homedir", home, ...args]);
  const plain = join(home, "plain");
  const message = join(home, "message.gpg");
  await writeFile(plain, "secret rows");
  await gpg("--passphrase", "", "--quick-generate-key", "test@example.com", "future-default");
  await gpg("--trust-model", "always", "-r", "test@example.com", "-o", message, "-e", plain);
  const { stdout: privateKey } = await gpg("--armor", "--export-secret-keys", "test@example.com");
  stack.add("gpg home", async () => {
    await run(programPath("GPGCONF"), ["--homedir", home, "--kill", "all"]);
    await rm(home, { recursive: true, force: true });
  });
  return { message, privateKey };
}

test("python with cryptography is the one that the envelope test uses", async () => {
  const { stdout } = await run(programPath("PYTHON"), [
    "-c",
    "from cryptography.hazmat.primitives.ciphers.aead import AESGCM; print('ok')",
  ]);

  expect(stdout).toBe("ok\n");
});
