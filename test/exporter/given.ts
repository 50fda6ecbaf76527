import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import {
  decryptFile,
  readExporterConfig,
  type ExporterConfig,
  type ExportResult,
} from "../../exporter/main.ts";
import { waitUntil } from "../fakes/fettle.ts";
import type { SftpServer } from "../servers/openssh.ts";

/** A folder that `remove` takes away with everything in it. */
export async function tempFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "fettle-exporter-test-"));
  return { path, remove: async () => rm(path, { recursive: true, force: true }) };
}

/** A wrapping key in a file of mode 600. */
export async function localKeyFile(folder: string, name = "kek"): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, randomBytes(32), { mode: 0o600 });
  return path;
}

/** A configuration that builds in `folder/work` and delivers to `folder/out`, in the envelope only. */
export async function folderConfig(
  folder: string,
  databaseUrl: string,
  more: Readonly<Record<string, string>> = {},
): Promise<ExporterConfig> {
  return readExporterConfig({
    AIOPS_DATABASE_URL: databaseUrl,
    AUDIT_EXPORT_DIR: join(folder, "out"),
    AUDIT_WORK_DIR: join(folder, "work"),
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(folder),
    EXPORTER_PORT: "0",
    ...more,
  });
}

/** A connection of its own, for what happens beside the exporter. */
export async function connectTo(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

const BULK_ROWS = 1_000;

/**
 * Rows that the next export contains: it leaves out what lies behind any open transaction of the server, and other tests have
 * some, which a busy machine ends late.
 */
export async function addRows(client: pg.Client, count: number, actor = "test"): Promise<void> {
  await insertRows(client, count, actor);
  const sql =
    "SELECT pg_snapshot_xmin(pg_current_snapshot()) > max(xid) AS settled FROM runbooks_audit";
  await waitUntil("the rows to be behind every open transaction", async () => {
    const { rows } = await client.query<{ settled: boolean }>(sql);
    return rows[0]?.settled === true;
  });
}

/** Each actor has runs of its own: two transactions that write to one run wait for each other. */
export async function insertRows(client: pg.Client, count: number, actor = "test"): Promise<void> {
  // Many rows without the triggers of the table: chaining them takes long, and an open transaction keeps every test on this
  // server from exporting its newest rows.
  const isBulk = count > BULK_ROWS;
  if (isBulk) await client.query("SET session_replication_role = replica");
  await client.query(
    `INSERT INTO runbooks_audit (run_id, event, actor, namespace, app, target, detail)
     SELECT CASE WHEN $2 = 'test' THEN '' ELSE $2 || '-' END || 'run-' || n, 'request', $2, 'shop', 'checkout', 'default/shop/deployment/checkout',
       jsonb_build_object('n', n, 'note', repeat('x', 80), 'quoted', E'a "b"\\nc')
     FROM generate_series(1, $1::int) n`,
    [count, actor],
  );
  if (isBulk) await client.query("RESET session_replication_role");
}

/** Every file below `folder`, with its bytes. */
export async function filesBelow(folder: string): Promise<ReadonlyMap<string, Buffer>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(path)] as const)),
  );
}

/** A strict reader of RFC 4180: an unquoted empty field is NULL, a quoted one the empty text. */
export function parseCsv(text: string): (string | null)[][] {
  const rows: (string | null)[][] = [];
  let row: (string | null)[] = [];
  let at = 0;
  while (at < text.length) {
    let value: string | null;
    if (text[at] === '"') {
      let end = at + 1;
      while (text[end] !== '"' || text[end + 1] === '"') end += text[end] === '"' ? 2 : 1;
      value = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    } else {
      const end = /[,\n]/.exec(text.slice(at))?.index ?? text.length - at;
      value = end === 0 ? null : text.slice(at, at + end);
      at += end;
    }
    row.push(value);
    if (text[at] === "\n") {
      rows.push(row);
      row = [];
    } else if (text[at] !== ",") throw new Error(`not CSV at ${at}: ${text.slice(at, at + 20)}`);
    at += 1;
  }
  return rows;
}

export function sftpVariables(sftp: SftpServer): Record<string, string> {
  return {
    SFTP_HOST: sftp.host,
    SFTP_PORT: String(sftp.port),
    SFTP_USERNAME: sftp.username,
    SFTP_PRIVATE_KEY: sftp.privateKey,
    SFTP_HOST_KEY_SHA256: sftp.hostKeySha256,
  };
}

/** The rows of a file that was exported to the folder destination of `folderConfig`. */
export async function rowsOf(folder: string, result: ExportResult): Promise<(string | null)[][]> {
  const { location = "" } = result.receipts.find((r) => r.destination === "folder") ?? {};
  const output = join(folder, `opened-${result.exportId ?? ""}.csv`);
  await decryptFile({ file: location, localKeyFile: join(folder, "kek"), output });
  return parseCsv(await readFile(output, "utf8"));
}

export function column(rows: (string | null)[][], name: string): (string | null)[] {
  const at = rows[0]?.indexOf(name) ?? -1;
  return rows.slice(1).map((row) => row[at] ?? null);
}
