import { codeOf, messageOf } from "../../../lib/error.ts";
import { BackendError, type BackendErrorKind } from "../error.ts";
import { LxdError } from "./client.ts";

/**
 * LXD says much with one code (400, 500) and tells it apart by words alone, and a failed operation has no other. First match
 * wins; words of LXD 5.0.2, most of which Incus has kept, and of Incus 6.0.4.
 */
const WORDS: readonly (readonly [RegExp, BackendErrorKind])[] = [
  [
    /is busy running|operation .*already in progress|Instance is already (starting|stopping)/i,
    "busy",
  ],
  [
    /already exists|already in use|is already clustered|is currently in use|has.* dependent|UNIQUE constraint/i,
    "conflict",
  ],
  [
    /is (currently )?(being )?(used|in use)|is running|isn't running|is already|not empty|last member/i,
    "conflict",
  ],
  [/not found|doesn't exist|No such object|Image not provided/i, "not_found"],
  [/Unknown driver/i, "invalid"],
  [/not clustered/i, "conflict"],
  [/not supported|isn't supported|unsupported|vsock/i, "unsupported"],
];

const CODES: Readonly<Record<number, BackendErrorKind>> = {
  400: "invalid",
  403: "unavailable",
  404: "not_found",
  409: "conflict",
  412: "changed",
  501: "unsupported",
};

const NAMES = { lxd: "LXD", incus: "Incus" } as const;

/** What an error of the API or of the way to it means. @param name which one answers */
export function explainLxd(name: keyof typeof NAMES, error: unknown): BackendError {
  const who = NAMES[name];
  const message = messageOf(error).slice(0, MESSAGE_MAX);
  if (error instanceof LxdError) {
    const [, known] = WORDS.find(([words]) => words.test(message)) ?? [];
    const kind = CODES[error.code] ?? "unavailable";
    const settled = error.code === 404 || error.code === 412 ? kind : (known ?? kind);
    return new BackendError(settled, `${who}: ${message}`, { cause: error });
  }
  const code = codeOf(error);
  const why = message === "" ? code : message;
  return new BackendError("unavailable", `${who} does not answer: ${why}`, { cause: error });
}

const MESSAGE_MAX = 300;
