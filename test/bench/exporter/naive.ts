import { createCipheriv, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { stringify } from "csv-stringify/sync";
import { createMessage, encrypt, readKeys } from "openpgp";
import pg from "pg";

// How it is often written: all rows, one string, one encrypted buffer, one JSON.
const client = new pg.Client({ connectionString: process.env["AIOPS_DATABASE_URL"] });
await client.connect();
const start = performance.now();
const { rows } = await client.query<Record<string, unknown>>(
  "SELECT * FROM runbooks_audit ORDER BY xid, id LIMIT $1",
  [process.env["FETTLE_BENCH_ROWS"]],
);
const csv = stringify(rows, { header: true });
const keys = await readKeys({
  armoredKeys: await readFile(process.env["AUDIT_PGP_PUBLIC_KEY_FILE"] ?? "", "utf8"),
});
const options = { encryptionKeys: keys, format: "binary" } as const;
const sealed: unknown = await encrypt({
  message: await createMessage({ binary: Buffer.from(csv) }),
  ...options,
});
const cipher = createCipheriv("aes-256-gcm", randomBytes(32), randomBytes(12));
const ciphertext = Buffer.concat([
  cipher.update(sealed as Uint8Array),
  cipher.final(),
  cipher.getAuthTag(),
]);
JSON.stringify({ ciphertext: ciphertext.toString("base64") });
const { user, system } = process.cpuUsage();
process.stdout.write(
  JSON.stringify({
    rows: rows.length,
    seconds: (performance.now() - start) / 1000,
    cpuSeconds: (user + system) / 1e6,
    rssMegabytes: process.resourceUsage().maxRSS / 1024,
  }),
);
await client.end();
