import { codeOf, messageOf } from "../../../lib/error.ts";
import { BackendError, type BackendErrorKind } from "../error.ts";

const CODES: Readonly<Record<number, BackendErrorKind>> = {
  304: "conflict",
  400: "invalid",
  403: "unavailable",
  404: "not_found",
  409: "conflict",
  501: "unsupported",
};

/** Podman answers 500 to much that Docker has a code for (words of 4.3.1). First match wins. */
const WORDS: readonly (readonly [RegExp, BackendErrorKind])[] = [
  [/no such (container|image|network|volume|exec)|network not found/i, "not_found"],
  [/already (in use|exists|used)|is in use|is being used|state improper/i, "conflict"],
  [/no command|invalid|not supported/i, "invalid"],
];

const MESSAGE_MAX = 300;

/** What an error of the Docker API or of the way to it means. */
export function explainDocker(error: unknown): BackendError {
  const status = statusOf(error);
  if (status === undefined) {
    const why = messageOf(error) === "" ? codeOf(error) : messageOf(error);
    const message = `the Docker API does not answer: ${why.slice(0, MESSAGE_MAX)}`;
    return new BackendError("unavailable", message, { cause: error });
  }
  const said = saidIn(error).slice(0, MESSAGE_MAX);
  const [, known] = WORDS.find(([words]) => words.test(said)) ?? [];
  const kind = CODES[status] ?? known ?? "unavailable";
  return new BackendError(kind, `the Docker API: ${said}`, { cause: error });
}

/** Of the answer, or undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  const { statusCode } = error as { readonly statusCode?: unknown };
  return typeof statusCode === "number" ? statusCode : undefined;
}

/** docker-modem's message has its own words before those of the server. */
function saidIn(error: unknown): string {
  const { json } = error as { readonly json?: { readonly message?: unknown } | null };
  return typeof json?.message === "string" ? json.message : messageOf(error);
}
