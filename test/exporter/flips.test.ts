import { randomInt } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import { decryptFile, exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, localKeyFile } from "./given.ts";

let trail: Trail;
let keys: { readonly localKeyFile: string; readonly pgpPrivateKeyFile: string };
let publicKey: string;

beforeAll(async () => {
  trail = await givenTrail();
  const person = await generateKey({ userIDs: [{ name: "Ana" }] });
  const pgpPrivateKeyFile = join(trail.folder, "ana.asc");
  await writeFile(pgpPrivateKeyFile, person.privateKey);
  keys = { localKeyFile: await localKeyFile(trail.folder, "local.key"), pgpPrivateKeyFile };
  ({ publicKey } = person);
});
afterAll(async () => trail.remove());

/** What is in a file, or undefined when it is refused. */
async function opened(file: string): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  const stdout = new Writable({
    write: (piece: Buffer, _encoding, done) => {
      pieces.push(piece);
      done();
    },
  });
  try {
    await decryptFile({ ...keys, file, stdout });
  } catch {
    expect(pieces).toEqual([]); // nothing is released before all is proved
    return undefined;
  }
  return Buffer.concat(pieces);
}

test.each([
  ["an envelope", { AUDIT_ENC_MODE: "kms" }],
  ["an OpenPGP message", { AUDIT_ENC_MODE: "pgp" }],
])(
  "1,000 random byte flips of %s: each is refused, or was of nothing that is in it",
  async (_what, more) => {
    await addRows(trail.client, 2);
    const config = await folderConfig(trail.folder, trail.url, {
      AUDIT_LOCAL_KEY_FILE: keys.localKeyFile,
      AUDIT_PGP_PUBLIC_KEY: publicKey,
      ...more,
    });
    const { receipts } = await exportOnce(config, silentLog);
    const file = receipts[0]?.location ?? "";
    const [sealed, plain] = [await readFile(file), await opened(file)];
    let refused = 0;
    const others: number[] = [];

    for (let n = 0; n < 1_000; n++) {
      const flipped = Buffer.from(sealed);
      const at = randomInt(flipped.length);
      flipped.writeUInt8((flipped[at] ?? 0) ^ (1 << randomInt(8)), at);
      await writeFile(file, flipped);
      const content = await opened(file);
      if (content === undefined) refused++;
      else if (!content.equals(plain ?? Buffer.alloc(0))) others.push(at);
    }

    expect(others).toEqual([]);
    // What stands beside the content, such as its date or a comment, is the manifest's to prove.
    expect(refused).toBeGreaterThan(500);
    expect(plain?.toString()).toMatch(/^id,xid,ts/);
    expect((await readdir(dirname(file))).filter((name) => name.startsWith("."))).toEqual([]);
  },
  120_000,
);

test("a changed message that the library would wait for for ever is refused", async () => {
  const fixtures = join(import.meta.dirname, "../fixtures/audit");
  const opening = decryptFile({
    file: join(fixtures, "never-ending.gpg"), // one bit of it was flipped
    pgpPrivateKeyFile: join(fixtures, "never-ending.key.asc"),
    output: join(trail.folder, "never"),
  });

  await expect(opening).rejects.toThrow("the OpenPGP message was changed or is truncated");
  expect(await readdir(trail.folder)).not.toContain("never");
}, 60_000);
