import { argon2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { HttpProblem } from "../../lib/problem.ts";
import type { Secret } from "../../lib/secret.ts";

/** OWASP Password Storage Cheat Sheet (2025): Argon2id with 19 MiB, two passes, one lane. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const TAG_BYTES = 32;
const SALT_BYTES = 16;

/** Hashes at once: each takes 19 MiB and a thread of the pool's four, which files and names need too. */
const AT_ONCE = 2;
/** Who waits longer than these in line would be gone anyway: some 50 ms each. */
const WAITING_MAX = 32;

export const PASSWORD_LENGTH = { min: 12, max: 128 } as const;

export interface Passwords {
  hash(password: string): Promise<string>;
  /** With no hash the same work is done for nothing, so that its time does not tell who exists. */
  verify(password: string, hash: string | null): Promise<"right" | "rehash" | "wrong">;
}

const derive = promisify(argon2);

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

const PARAMETERS: Parameters = { memory: MEMORY_KIB, passes: PASSES, parallelism: LANES };

/** Argon2id in PHC strings; the pepper is not in the database, so that a stolen table alone cannot be guessed at. */
export function createPasswords(pepper: Secret | undefined): Passwords {
  const inTurn = createQueue();
  const compute = async (password: string, salt: Buffer, parameters: Parameters) =>
    inTurn(async () =>
      derive("argon2id", {
        message: password.normalize("NFC"),
        nonce: salt,
        tagLength: TAG_BYTES,
        ...parameters,
        ...(pepper === undefined ? {} : { secret: pepper.reveal() }),
      }),
    );
  return {
    hash: async (password) => {
      const salt = randomBytes(SALT_BYTES);
      return written(PARAMETERS, salt, await compute(password, salt, PARAMETERS));
    },
    verify: async (password, hash) => {
      const read = hash === null ? undefined : readHash(hash);
      if (read === undefined) {
        await compute(password, randomBytes(SALT_BYTES), PARAMETERS);
        return "wrong";
      }
      const tag = await compute(password, read.salt, read.parameters);
      if (tag.length !== read.tag.length || !timingSafeEqual(tag, read.tag)) return "wrong";
      return written(PARAMETERS, read.salt, read.tag) === hash ? "right" : "rehash";
    },
  };
}

function createQueue() {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= AT_ONCE) {
      if (waiting.length >= WAITING_MAX) {
        const detail = "Too many people sign in at once; try again.";
        throw new HttpProblem(503, "Temporarily unavailable", detail, { "Retry-After": "2" });
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift(); // who waits first gets this place
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

function written({ memory, passes, parallelism }: Parameters, salt: Buffer, tag: Buffer): string {
  const unpadded = (bytes: Buffer) => bytes.toString("base64").replace(/=+$/, "");
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(tag)}`;
}

function readHash(hash: string) {
  const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(hash);
  if (found === null) return undefined;
  const [, memory = "", passes = "", parallelism = "", salt = "", tag = ""] = found;
  return {
    parameters: {
      memory: Number(memory),
      passes: Number(passes),
      parallelism: Number(parallelism),
    },
    salt: Buffer.from(salt, "base64"),
    tag: Buffer.from(tag, "base64"),
  };
}

/** A password for the first login, that nobody has to remember: 120 random bits. */
export function oneTimePassword(): string {
  return randomBytes(15).toString("base64url");
}
