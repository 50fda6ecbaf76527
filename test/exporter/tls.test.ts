import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { dumpDatabase } from "../../exporter/adapters/postgres-tools.ts";
import { exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { Secret } from "../../lib/secret.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startPrivatePostgres, type PrivatePostgres } from "../servers/postgres.ts";
import { programPath, writePrivate } from "../servers/unprivileged.ts";
import { unprivilegedAccount } from "../../ops/test/account.ts";
import { addRows, column, connectTo, folderConfig, rowsOf, tempFolder } from "./given.ts";

const run = promisify(execFile);

let folder: Awaited<ReturnType<typeof tempFolder>>;
let server: PrivatePostgres;
let certificate: string;
let another: string;

beforeAll(async () => {
  folder = await tempFolder();
  server = await startPrivatePostgres();
  await migrate(server.url, silentLog);
  certificate = await selfSigned("server");
  another = await selfSigned("another");
  await switchToTls();
}, 60_000);
afterAll(async () => {
  await server.remove();
  await folder.remove();
});

async function selfSigned(name: string): Promise<string> {
  const [key, crt] = [join(folder.path, `${name}.key`), join(folder.path, `${name}.crt`)];
  await run(programPath("OPENSSL"), [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"],
    ...["-keyout", key, "-out", crt],
  ]);
  return crt;
}

/** From now on nobody gets in without TLS. */
async function switchToTls(): Promise<void> {
  const client = await connectTo(server.url);
  const { rows } = await client.query<{ hba_file: string }>("SHOW hba_file");
  const hba = rows[0]?.hba_file ?? "";
  const account = unprivilegedAccount();
  for (const end of ["key", "crt"]) {
    const content = await readFile(join(folder.path, `server.${end}`), "utf8");
    await writePrivate(join(dirname(hba), `server.${end}`), content, account);
  }
  await writePrivate(hba, "hostssl all all 127.0.0.1/32 trust\n", account);
  await client.query("ALTER SYSTEM SET ssl = on");
  await client.query("SELECT pg_reload_conf()");
  await client.end();
  await waitUntil("the server to speak TLS", async () => {
    const over = await connectTo(urlWith(certificate)).catch(() => undefined);
    await over?.end();
    return over !== undefined;
  });
}

const urlWith = (roots: string) => `${server.url}?sslmode=verify-full&sslrootcert=${roots}`;

test("an export's rows come over TLS as they do without, and of a server with another certificate none", async () => {
  await expect(connectTo(server.url)).rejects.toThrow(/no encryption/);
  const client = await connectTo(urlWith(certificate));
  await addRows(client, 3_000, "over TLS");
  await client.end();

  const result = await exportOnce(await folderConfig(folder.path, urlWith(certificate)), silentLog);

  expect(result).toMatchObject({ outcome: "exported", rows: 3_000 });
  const actors = column(await rowsOf(folder.path, result), "actor");
  expect([actors.length, new Set(actors)]).toEqual([3_000, new Set(["over TLS"])]);
  const stranger = await folderConfig(folder.path, urlWith(another));
  await expect(exportOnce(stranger, silentLog)).rejects.toThrow(/self-signed certificate/);
}, 60_000);

test.each(["require", "prefer", "verify-ca", "verify-full"])(
  "with sslmode=%s pg_dump asks for the server's certificate, as the service does",
  async (mode) => {
    const dumpWith = async (roots: string) => {
      const url = `${server.url}?sslmode=${mode}&sslrootcert=${roots}`;
      const { stdout, ended } = dumpDatabase(new Secret(url));
      const [bytes] = await Promise.all([buffer(stdout), ended]);
      return bytes.subarray(0, 5).toString();
    };

    expect(await dumpWith(certificate)).toBe("PGDMP");
    await expect(dumpWith(another)).rejects.toThrow(/certificate verify failed/);
  },
  60_000,
);
