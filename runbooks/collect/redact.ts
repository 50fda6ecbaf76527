import { setImmediate } from "node:timers/promises";
import { createRedactor } from "../../lib/redact.ts";
import { Secret } from "../../lib/secret.ts";
import type { Json } from "../types/collect.ts";

const REDACTED = "[redacted]";

/** Names whose values are nobody's business, whatever they look like. */
const SENSITIVE =
  /passw(?:or)?d|passphrase|[-_]pass\b|\bpwd\b|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|authorization|\bcookie|\bdsn\b|connection[-_]?string/i;
/** Names with such a word in them whose values are names themselves, or numbers. */
const HARMLESS =
  /^(secretName|secretRef|secretKeyRef|imagePullSecrets|automountServiceAccountToken|serviceAccountToken|expirationSeconds|tokenExpirationSeconds|secret)$/;

/** `password=…` in all its spellings: what stands before the value, and the value with its quotes. */
const NAMED_VALUE =
  /((?:passw(?:or)?d|passphrase|[-_]pass\b|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|dsn|connection[-_]?string)[\w.-]{0,40}\\?["']?[ \t]{0,5}[:=][ \t]{0,5})(?!\[redacted\])(\\?"(?:[^"\\\n]|\\[^"\n])*\\?"|'[^'\n]*'|[^\s"',;&}\]]+)/gi;
/** Text that people's programs print. Every repetition is bounded: a log line may be a megabyte of anything. */
const IN_TEXT: readonly [pattern: RegExp, replacement: string][] = [
  [
    /((?:^|\s)--[\w-]{0,40}(?:password|passphrase|secret|token|key)[\w-]{0,40}[ =])("[^"\n]*"|'[^'\n]*'|\S+)/gi,
    `$1${REDACTED}`,
  ],
  [/(authorization\\?["']?[ \t]{0,5}[:=][ \t]{0,5}\\?["']?)[^"'\\\n]+/gi, `$1${REDACTED}`],
  [/((?:set-)?cookie\\?["']?[ \t]{0,5}[:=][ \t]{0,5}\\?["']?)[^"'\\\n]+/gi, `$1${REDACTED}`],
  [/\bgh[pousr]_\w{20,}/g, REDACTED], // GitHub
  [/\bglpat-[\w-]{16,}/g, REDACTED], // GitLab
  [/\bAIza[\w-]{30,}/g, REDACTED], // Google
  [/\bASIA[0-9A-Z]{16}\b/g, REDACTED], // AWS, temporary
  [/\b[sr]k_(?:live|test)_\w{16,}/g, REDACTED], // Stripe
];

/** A pattern may look at a line once for each of its characters: without a limit a pod could stop us with its log. */
const LINE_MAX = 4096;
/** After so many lines others get their turn: alerts are answered by the same process. */
const LINES_AT_ONCE = 500;

/** In the quotes that it stood in, so that a line of JSON is one still. */
function hideValue(_: string, before: string, value: string): string {
  const [quote = ""] = /^(?:\\?"|')/.exec(value) ?? [];
  return `${before}${quote}${REDACTED}${quote}`;
}

/** Removes secrets from what is collected, before anything of it is kept anywhere. */
export interface DiagnosticsRedactor {
  text(text: string): string;
  /** {@link text} for a long one. */
  log(text: string): Promise<string>;
  /** Objects of Kubernetes, and any other JSON. */
  object(value: unknown): unknown;
}

/**
 * @param known values that must not stand anywhere, such as those of our own configuration
 * @param objects whose environment variables and arguments may hold values that stand in a log as well
 */
export function diagnosticsRedactor(
  known: readonly Secret[],
  objects: readonly Json[],
): DiagnosticsRedactor {
  const learnt = new Set<string>();
  for (const object of objects) learn(object, learnt);
  const redactKnown = createRedactor([...known, ...[...learnt].map((value) => new Secret(value))]);
  const line = (whole: string) =>
    IN_TEXT.reduce(
      (rest, [pattern, replacement]) => rest.replace(pattern, replacement),
      redactKnown(cutLine(whole)).replace(NAMED_VALUE, hideValue),
    );
  const text = (lines: string) => withoutKeys(lines.split("\n")).map(line).join("\n");
  return {
    text,
    log: async (lines) => {
      const all = withoutKeys(lines.split("\n"));
      const done: string[] = [];
      for (let at = 0; at < all.length; at += LINES_AT_ONCE) {
        if (at > 0) await setImmediate();
        done.push(...all.slice(at, at + LINES_AT_ONCE).map(line));
      }
      return done.join("\n");
    },
    object: (value) => clean(value, text),
  };
}

function cutLine(line: string): string {
  return line.length <= LINE_MAX ? line : `${line.slice(0, LINE_MAX)} [line cut]`;
}

/** Private keys go over many lines. */
function withoutKeys(lines: readonly string[]): readonly string[] {
  let inside = false;
  return lines.flatMap((line) => {
    const starts = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY/.test(line);
    const ends = /-----END [A-Z ]{0,30}PRIVATE KEY/.test(line);
    const hidden = inside || starts;
    inside = (inside || starts) && !ends;
    if (!hidden) return [line];
    return starts ? [REDACTED] : [];
  });
}

function clean(value: unknown, text: (line: string) => string): unknown {
  if (typeof value === "string") return text(value);
  if (Array.isArray(value)) return cleanList(value, text);
  if (typeof value !== "object" || value === null) return value;
  const isVariable = "name" in value && "value" in value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !DROPPED.has(name))
      .map(([name, member]) => {
        const hidden = (isVariable && name === "value") || isSensitive(name, member);
        return [text(name), hidden ? REDACTED : clean(member, text)];
      }),
  );
}

/** Nobody reads these, and the second repeats every environment variable in a text of its own. */
const DROPPED: ReadonlySet<string> = new Set([
  "managedFields",
  "kubectl.kubernetes.io/last-applied-configuration",
]);

function isSensitive(name: string, member: unknown): boolean {
  return (
    typeof member === "string" && member !== "" && SENSITIVE.test(name) && !HARMLESS.test(name)
  );
}

/** `["--token", "abc"]`: the value stands in the next place. */
function cleanList(list: readonly unknown[], text: (line: string) => string): unknown[] {
  return list.map((item, at) => {
    if (typeof item !== "string") return clean(item, text);
    return isFlag(list[at - 1]) && !item.startsWith("-") ? REDACTED : text(item);
  });
}

function isFlag(before: unknown): boolean {
  return typeof before === "string" && /^--?[\w-]+$/.test(before) && SENSITIVE.test(before);
}

/** Values that would be recognised by their place only, and may be printed in another one. */
function learn(value: unknown, learnt: Set<string>): void {
  if (Array.isArray(value)) {
    value.forEach((item: unknown, at) => {
      if (typeof item === "string" && isFlag(value[at - 1])) add(item, learnt);
      learnArgument(item, learnt);
      learn(item, learnt);
    });
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const { name: variable, value: content } = value as Json;
  if (typeof variable === "string" && typeof content === "string")
    if (SENSITIVE.test(variable) || looksSecret(content)) add(content, learnt);
  for (const [name, member] of Object.entries(value)) {
    if (typeof member === "string" && isSensitive(name, member)) add(member, learnt);
    else learn(member, learnt);
  }
}

/** `--token=abc` */
function learnArgument(item: unknown, learnt: Set<string>): void {
  if (typeof item !== "string") return;
  const [, name = "", content = ""] = /^(--?[\w-]{1,60})=(.+)$/s.exec(item) ?? [];
  if (SENSITIVE.test(name)) add(content, learnt);
}

/** Also the password inside an address, which is printed without it. */
function add(content: string, learnt: Set<string>): void {
  learnt.add(content);
  const [, password] = /^[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:([^\s@]+)@/i.exec(content) ?? [];
  if (password !== undefined) learnt.add(password);
}

/** Long, letters and digits mixed, and neither an address, a path nor a sentence; or an address with a password. */
function looksSecret(content: string): boolean {
  if (/^[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:[^\s@]+@/i.test(content)) return true;
  return /^[\w+=~!#$%^&*-]{16,200}$/.test(content) && /\d/.test(content) && /[a-z]/i.test(content);
}
