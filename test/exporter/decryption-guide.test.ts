import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import { exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { startGnupg, type Gnupg } from "../servers/gnupg.ts";
import { programPath } from "../servers/unprivileged.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, column, folderConfig, localKeyFile, parseCsv } from "./given.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
/** The file that the guide opens. */
const NAME = "audit-20251121.csv";

interface Person {
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly privateKey: string;
  readonly gnupgs: readonly Gnupg[];
}

/** What recipients have: how the tests know it, its name at a terminal, and the beginning of its line in the guide. */
interface Reader {
  readonly program: string;
  readonly command: string;
  readonly line: string;
}

const READERS: readonly Reader[] = [
  { program: "GPG", command: "gpg", line: "gpg --output" },
  { program: "GPG24", command: "gpg", line: "gpg --output" },
  { program: "SQ", command: "sq", line: "sq decrypt --recipient-key" },
  { program: "SQ1", command: "sq", line: "sq decrypt --recipient-file" },
];
/** Of these, the ones that are gpg's, in their order. */
const GPGS = READERS.filter(({ command }) => command === "gpg").map(({ program }) => program);

let trail: Trail;
let people: readonly Person[];
let guide: Guide;
let keyFile: string;
let number = 0;

beforeAll(async () => {
  trail = await givenTrail();
  people = await Promise.all(["Ana", "Ivo"].map(newPerson));
  keyFile = await localKeyFile(trail.folder, "local.key");
  guide = new Guide(await readFile(join(ROOT, "docs/decryption.md"), "utf8"));
});
afterAll(async () => {
  for (const gnupg of people.flatMap(({ gnupgs }) => gnupgs)) await gnupg.stop();
  await trail.remove();
});

async function newPerson(name: string): Promise<Person> {
  const { publicKey, privateKey } = await generateKey({ userIDs: [{ name }], format: "object" });
  const gnupgs = await Promise.all(GPGS.map(startGnupg));
  for (const gnupg of gnupgs) await gnupg.importKey(privateKey.armor());
  const fingerprint = publicKey.getFingerprint().toUpperCase();
  return { publicKey: publicKey.armor(), privateKey: privateKey.armor(), fingerprint, gnupgs };
}

/** The guide's own lines: what a reader copies. */
class Guide {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The only shell line that begins so, without its remark. */
  line(start: string): string {
    const lines = this.#text.split("\n").filter((line) => line.startsWith(start));
    return only(start, lines).replace(/ +#.*/, "");
  }

  /** The only Python program that has these words in it. */
  python(words: string): string {
    const blocks = [...this.#text.matchAll(/```python\n([\s\S]*?)```/g)].map(([, code]) => code);
    const found = blocks.filter((code) => code?.includes(words) === true);
    return only(words, found);
  }

  inline(words: string): string {
    return only(words, this.#text.includes(`\`${words}\``) ? [words] : []);
  }
}

function only(what: string, found: readonly (string | undefined)[]): string {
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  throw new Error(`the guide has ${found.length} of: ${what}`);
}

const OTHER_TOOLS = [
  { program: "ZSTD", command: "zstd" },
  { program: "JQ", command: "jq" },
  { program: "PYTHON", command: "python3" },
];

/** A shell in a folder of its own that has one exported file under the guide's name, and the reader's keys. */
async function desk(file: string, name: string, person?: Person, reader?: Reader) {
  const place = join(trail.folder, `desk-${++number}`);
  await mkdir(join(place, "bin"), { recursive: true });
  await copyFile(file, join(place, name));
  await copyFile(keyFile, join(place, "local.key"));
  await writeFile(join(place, "auditor.asc"), person?.privateKey ?? "", { mode: 0o600 });
  const tools = [...OTHER_TOOLS, ...(reader === undefined ? [] : [reader])];
  for (const { program, command } of tools)
    await symlink(programPath(program), join(place, "bin", command));
  const env = {
    ...process.env,
    PATH: `${join(place, "bin")}:${process.env["PATH"] ?? ""}`,
    HOME: place, // sq keeps something there
    GNUPGHOME: person?.gnupgs[GPGS.indexOf(reader?.program ?? "")]?.home,
  };
  const options = { cwd: place, env };
  return {
    at: (entry: string) => join(place, entry),
    sh: async (line: string) =>
      run("sh", ["-ec", line.replace(/^bin\/fettle/, join(ROOT, "bin/fettle"))], options),
    python: async (code: string) => run(programPath("PYTHON"), ["-c", code], options),
    read: async (entry: string) => readFile(join(place, entry), "utf8"),
  };
}

/** One export of some rows. @returns the paths of its files, for whom they are, and who wrote the rows */
async function exported(more: Readonly<Record<string, string>>, rows = 20) {
  const actor = `form-${++number}`;
  await addRows(trail.client, rows, actor);
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_PGP_PUBLIC_KEYS: people.map(({ publicKey }) => publicKey).join(","),
    AUDIT_EXPORT_DIR: join(trail.folder, actor),
    AUDIT_LOCAL_KEY_FILE: keyFile,
    ...more,
  });
  const { receipts } = await exportOnce(config, silentLog);
  return { actor, files: receipts.map(({ location }) => location) };
}

const readersOf = (file: string) => {
  const [, whose] = /\.([0-9A-F]{16})\.gpg/.exec(file) ?? [];
  return people.filter(({ fingerprint }) => whose === undefined || fingerprint.endsWith(whose));
};

/** By the guide's Python, where there is an envelope: what is in it. */
async function withoutEnvelope(file: string): Promise<string> {
  if (!file.endsWith(".envelope.json")) return file;
  const { at, python } = await desk(file, `${NAME}.envelope.json`);
  await python(guide.python("aes_key_unwrap"));
  await python(guide.python("AESGCM"));
  const { original_filename: inner } = JSON.parse(await readFile(file, "utf8")) as {
    original_filename: string;
  };
  return at(inner);
}

/** The actors of the rows in it: of the CSV, and of the JSON lines where there are any. */
async function openByGuide(file: string, reader: Reader, person: Person) {
  const { at, sh, read } = await desk(file, `${NAME}.gpg`, person, reader);
  await sh(guide.line(reader.line));
  if (file.includes(".zst")) {
    await rename(at("audit.csv"), at("audit.csv.zst"));
    await sh(guide.inline("zstd -d audit.csv.zst"));
  }
  if (!file.includes(".zip")) return [column(parseCsv(await read("audit.csv")), "actor")];
  await rename(at("audit.csv"), at("audit.zip"));
  await sh(guide.inline("python3 -m zipfile -e audit.zip ."));
  const [csv = "", jsonl = ""] = (await readdir(at(""))).filter((name) =>
    /^audit-\d{8}(\.\d+)?\.(csv|jsonl)$/.test(name),
  );
  const lines = (await read(jsonl)).trimEnd().split("\n");
  const actorOf = (line: string) => (JSON.parse(line) as { actor: string }).actor;
  return [column(parseCsv(await read(csv)), "actor"), lines.map(actorOf)];
}

const SINGLE = { AUDIT_PGP_SINGLE_FILE: "on" };

test.each<readonly [string, Readonly<Record<string, string>>, number, number]>([
  ["a file for each recipient", {}, 20, 2],
  ["one file for all", SINGLE, 20, 1],
  ["one file, armored with a comment", { ...SINGLE, AUDIT_PGP_COMMENT: "Fettle" }, 20, 1],
  ["one file by gpg", { AUDIT_GPG_CLI: "on" }, 20, 1],
  ["compressed files, one for each", { AUDIT_COMPRESS: "zstd" }, 20, 2],
  ["parts", { ...SINGLE, AUDIT_MAX_PART_MB: "1" }, 5_000, 2],
  ["an archive with JSON lines", { ...SINGLE, AUDIT_JSONL: "on" }, 20, 1],
  [
    "such an archive, compressed, in the envelope",
    { ...SINGLE, AUDIT_JSONL: "on", AUDIT_COMPRESS: "zstd", AUDIT_ENC_MODE: "pgp+kms" },
    20,
    1,
  ],
  ["files in the envelope, one for each", { AUDIT_ENC_MODE: "pgp+kms" }, 20, 2],
])(
  "%s: gpg 2.2 and 2.4, sq 0 and 1 open it for each of two people as the guide says",
  async (_form, more, rows, count) => {
    const { actor, files } = await exported({ AUDIT_ENC_MODE: "pgp", ...more }, rows);
    expect(files).toHaveLength(count);
    const forms = more["AUDIT_JSONL"] === "on" ? [rows, rows] : [rows];
    const seen = new Map<string, number[]>();

    for (const file of files) {
      const sealed = await withoutEnvelope(file);
      for (const [who, person] of people.entries()) {
        if (!readersOf(sealed).includes(person)) continue;
        for (const reader of READERS) {
          const found = await openByGuide(sealed, reader, person);
          expect(new Set(found.flat())).toEqual(new Set([actor]));
          const key = `${reader.program} ${who}`;
          seen.set(
            key,
            found.map(({ length }, form) => length + (seen.get(key)?.[form] ?? 0)),
          );
        }
      }
    }

    const openings = READERS.flatMap(({ program }) =>
      people.map((_person, who) => [`${program} ${who}`, forms] as const),
    );
    expect(seen).toEqual(new Map(openings));
  },
);

test("the guide's short way opens an envelope with a key file, and a .gpg file", async () => {
  const envelope = await exported({ AUDIT_ENC_MODE: "pgp+kms", ...SINGLE });
  const sealed = await exported({ AUDIT_ENC_MODE: "pgp", ...SINGLE });
  const [person] = people;
  const both = await desk(envelope.files[0] ?? "", `${NAME}.gpg.envelope.json`, person);
  const one = await desk(sealed.files[0] ?? "", `${NAME}.gpg`, person);

  await both.sh(
    `${guide.line("bin/fettle decrypt audit-20251121.csv.gpg.env")} --key local.key --out x`,
  );
  await one.sh(`${guide.line("bin/fettle decrypt audit-20251121.csv.gpg -")} --out x`);

  expect(new Set(column(parseCsv(await both.read("x")), "actor"))).toEqual(
    new Set([envelope.actor]),
  );
  expect(new Set(column(parseCsv(await one.read("x")), "actor"))).toEqual(new Set([sealed.actor]));
});

test.each(["aws_kms", "gcp_kms"])("the guide's jq takes out what %s has to open", async (key) => {
  const wrapped = Buffer.from(`wrapped by ${key}\0\x01\xff`, "latin1");
  const file = join(trail.folder, key);
  const envelope = { wrapped_keys: { [key]: wrapped.toString("base64") }, ciphertext: "" };
  await writeFile(file, JSON.stringify(envelope));
  const { at, sh } = await desk(file, `${NAME}.envelope.json`);

  await sh(guide.line(`jq -r .wrapped_keys.${key}`));

  expect((await readFile(at("wrapped.bin"))).equals(wrapped)).toBe(true);
});
