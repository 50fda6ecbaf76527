import { execFile } from "node:child_process";
import { copyFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
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
  readonly gnupg: Gnupg;
}

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
  for (const { gnupg } of people) await gnupg.stop();
  await trail.remove();
});

async function newPerson(name: string): Promise<Person> {
  const { publicKey, privateKey } = await generateKey({ userIDs: [{ name }], format: "object" });
  const gnupg = await startGnupg();
  await gnupg.importKey(privateKey.armor());
  const fingerprint = publicKey.getFingerprint().toUpperCase();
  return { publicKey: publicKey.armor(), privateKey: privateKey.armor(), fingerprint, gnupg };
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

/** A shell in a folder of its own that has one exported file under the guide's name, and the reader's keys. */
async function desk(file: string, name: string, person?: Person) {
  const place = join(trail.folder, `desk-${++number}`);
  await mkdir(join(place, "bin"), { recursive: true });
  await copyFile(file, join(place, name));
  await copyFile(keyFile, join(place, "local.key"));
  await writeFile(join(place, "auditor.asc"), person?.privateKey ?? "", { mode: 0o600 });
  const programs = ["GPG", "SQ", "ZSTD", "JQ"].map((program) => join(programPath(program), ".."));
  const env = {
    ...process.env,
    PATH: [...programs, process.env["PATH"]].join(":"),
    GNUPGHOME: person?.gnupg.home,
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

async function openByGuide(
  file: string,
  program: (typeof PROGRAMS)[number],
  person: Person,
): Promise<string> {
  const { at, sh, read } = await desk(file, `${NAME}.gpg`, person);
  await sh(guide.line(program));
  if (file.includes(".zst")) {
    await rename(at("audit.csv"), at("audit.csv.zst"));
    await sh(guide.inline("zstd -d audit.csv.zst"));
  }
  return read("audit.csv");
}

/** By the beginning of their lines. */
const PROGRAMS = ["gpg --output", "sq decrypt"] as const;
const SINGLE = { AUDIT_PGP_SINGLE_FILE: "on" };

test.each<readonly [string, Readonly<Record<string, string>>, number, number]>([
  ["a file for each recipient", {}, 20, 2],
  ["one file for all", SINGLE, 20, 1],
  ["one file, armored with a comment", { ...SINGLE, AUDIT_PGP_COMMENT: "Fettle" }, 20, 1],
  ["one file by gpg", { AUDIT_GPG_CLI: "on" }, 20, 1],
  ["compressed files, one for each", { AUDIT_COMPRESS: "zstd" }, 20, 2],
  ["parts", { ...SINGLE, AUDIT_MAX_PART_MB: "1" }, 5_000, 2],
  ["JSON lines beside it", { ...SINGLE, AUDIT_JSONL: "on" }, 20, 2],
  ["files in the envelope, one for each", { AUDIT_ENC_MODE: "pgp+kms" }, 20, 2],
])(
  "%s: the guide's gpg and sq open it for each of two people",
  async (_form, more, rows, count) => {
    const { actor, files } = await exported({ AUDIT_ENC_MODE: "pgp", ...more }, rows);
    expect(files).toHaveLength(count);
    const seen = new Map<string, number>();

    for (const file of files) {
      const sealed = await withoutEnvelope(file);
      for (const [who, person] of people.entries()) {
        if (!readersOf(sealed).includes(person)) continue;
        for (const program of PROGRAMS) {
          const text = await openByGuide(sealed, program, person);
          const actors = file.includes(".jsonl")
            ? text.match(/"actor":"[^"]*"/g)?.map((member) => member.slice(9, -1))
            : column(parseCsv(text), "actor");
          expect(new Set(actors)).toEqual(new Set([actor]));
          const key = `${program.slice(0, 2)} ${who}${file.includes(".jsonl") ? " lines" : ""}`;
          seen.set(key, (seen.get(key) ?? 0) + (actors?.length ?? 0));
        }
      }
    }

    const forms = more["AUDIT_JSONL"] === "on" ? ["", " lines"] : [""];
    const openings = forms.flatMap((form) =>
      ["gp 0", "gp 1", "sq 0", "sq 1"].map((key) => [`${key}${form}`, rows] as const),
    );
    expect([...seen].toSorted()).toEqual(openings.toSorted());
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
