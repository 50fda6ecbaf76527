import type { Secret } from "./secret.ts";

const REDACTED = "[redacted]";

/** Shorter values would remove ordinary words from the log. */
const MIN_SECRET_LENGTH = 8;

/** Secrets that can be known by their shape, whoever put them there. Sources: the vendors' own prefixes. */
const SHAPES: readonly [pattern: RegExp, replacement: string][] = [
  [/\bxox[abeprs]-[\w-]{8,}/g, REDACTED], // Slack tokens
  [/\bxapp-[\w-]{8,}/g, REDACTED],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, REDACTED], // JWT
  [/\bAKIA[0-9A-Z]{16}\b/g, REDACTED], // AWS access key id
  [/hooks\.slack\.com\/services\/[\w/-]+/g, `hooks.slack.com/services/${REDACTED}`],
  [/(discord(?:app)?\.com\/api\/webhooks\/)[\w/-]+/g, `$1${REDACTED}`],
  [
    /-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY[A-Z ]*-----/g,
    REDACTED,
  ],
  [/\b(authorization\\?"?\s*[:=]\s*\\?"?(?:bearer|basic)\s+)[^\s"\\]+/gi, `$1${REDACTED}`],
  [/([?&](?:token|api-key|apikey|password|signature)=)[^&\s"\\]+/gi, `$1${REDACTED}`],
  [/(\b[a-z][a-z0-9+]*:\/\/[^\s:/@"]+:)[^\s@"]+@/gi, `$1${REDACTED}@`], // password in a URL
];

/** Returns a function that removes the given secrets, and everything that looks like one, from a text. */
export function createRedactor(secrets: readonly Secret[]): (text: string) => string {
  const known = secrets
    .map((secret) => secret.reveal())
    .filter((value) => value.length >= MIN_SECRET_LENGTH)
    .flatMap((value) => [value, JSON.stringify(value).slice(1, -1)])
    .sort((left, right) => right.length - left.length);
  return (text) => {
    const withoutKnown = known.reduce((rest, value) => rest.replaceAll(value, REDACTED), text);
    return SHAPES.reduce(
      (rest, [pattern, replacement]) => rest.replace(pattern, replacement),
      withoutKnown,
    );
  };
}
