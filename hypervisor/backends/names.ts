import { BackendError } from "./error.ts";

/**
 * Names go into paths and queries of the backends, so nothing but these characters gets out: no slash, no blank, no `%`, no
 * leading dot (`..`), nothing that a shell or a terminal would read. Docker's rule, bounded; LXD's is narrower and it says so itself.
 */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
/** A reference as registries have it: [host[:port]/]path[:tag][@sha256:…]; no `..` in it. */
const IMAGE = /^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._/:@-]{0,254}$/;
/** Linux: IFNAMSIZ is 16 with the terminating zero. */
const BRIDGE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/;

interface Rule {
  readonly pattern: RegExp;
  readonly expected: string;
}

const PLAIN: Rule = {
  pattern: NAME,
  expected: "1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit",
};

/** By the field of a request that holds such a name. */
const RULES: Readonly<Record<string, Rule>> = {
  project: PLAIN,
  name: PLAIN,
  newName: PLAIN,
  snapshot: PLAIN,
  pool: PLAIN,
  driver: PLAIN,
  volume: PLAIN,
  node: PLAIN,
  bridge: { ...PLAIN, pattern: BRIDGE, expected: PLAIN.expected.replace("63", "15") },
  image: {
    pattern: IMAGE,
    expected: "an image's reference of at most 255 characters, such as debian:12",
  },
};

/** @throws BackendError `invalid` that names the field, what was given and what is expected */
export function checkNames(request: object): void {
  for (const [field, value] of Object.entries(request) as [string, unknown][]) {
    const rule = Object.hasOwn(RULES, field) ? RULES[field] : undefined;
    if (rule === undefined || value === undefined) continue;
    if (typeof value === "string" && rule.pattern.test(value)) continue;
    throw new BackendError("invalid", `${field}: must be ${rule.expected}; got ${shown(value)}`);
  }
}

const SHOWN_MAX = 80;

function shown(value: unknown): string {
  if (typeof value !== "string") return typeof value;
  const text = value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value;
  return JSON.stringify(text);
}
