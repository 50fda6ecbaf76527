import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Recipient } from "../recipients.ts";

type Stage = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Buffer>;

const STDERR_CHARACTERS_MAX = 2_000;

/** gpg did not encrypt; the message is what it said. */
class GpgError extends Error {
  override readonly name = "GpgError";
}

/**
 * A stage that lets the machine's gpg encrypt to all recipients in one message. Every choice that depends on gpg's version,
 * its settings or the keys' preferences is made here: the result is PKESK v3 + SEIPD v1 + AES-256 like that of the built-in
 * writer, without a file name in it. No keyring is touched.
 *
 * @param program `gpg` on the PATH, or a path
 */
export function encryptByGpg(
  program: string,
  recipients: readonly Recipient[],
  comment: string | undefined,
): Stage {
  return async function* gpg(source) {
    const home = await mkdtemp(join(tmpdir(), "fettle-gpg-"));
    try {
      const files = await writeKeys(home, recipients);
      yield* runGpg(program, home, argumentsOf(files, comment), source);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  };
}

function argumentsOf(keyFiles: readonly string[], comment: string | undefined): string[] {
  return [
    "--batch",
    "--no-tty",
    "--no-options",
    "--quiet",
    "--rfc4880", // gpg 2.4 may write a packet of its own (OCB) otherwise, which sq cannot read
    "--trust-model=always",
    "--no-auto-key-locate",
    "--cipher-algo=AES256",
    "--compress-algo=none", // its own compression is ten times slower than all the rest
    "--set-filename",
    "",
    ...(comment === undefined ? [] : ["--armor", `--comment=${comment}`]),
    ...keyFiles.flatMap((file) => ["-f", file]),
    "-o",
    "-",
    "-e",
  ];
}

async function writeKeys(home: string, recipients: readonly Recipient[]): Promise<string[]> {
  return Promise.all(
    recipients.map(async ({ key, fingerprint }) => {
      const path = join(home, `${fingerprint}.asc`);
      await writeFile(path, key.armor(), { mode: 0o600 });
      return path;
    }),
  );
}

async function* runGpg(
  program: string,
  home: string,
  args: readonly string[],
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"], GNUPGHOME: home, LC_ALL: "C.UTF-8" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-STDERR_CHARACTERS_MAX);
  });
  const ended = once(child, "close") as Promise<[code: number | null]>;
  ended.catch(() => undefined);
  // An early end of gpg breaks the pipe to it; why it ended says more than that.
  const fed = pipeline(Readable.from(source), child.stdin).then(
    () => undefined,
    (error: unknown) => error,
  );
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    const [code] = await ended;
    const problem = await fed;
    if (code !== 0)
      throw new GpgError(`gpg could not encrypt (exit ${code ?? "by signal"}): ${said.trim()}`);
    if (problem !== undefined) throw problem as Error;
  } finally {
    child.kill("SIGKILL");
  }
}
