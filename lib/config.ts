import { readFileSync } from "node:fs";
import { z } from "zod";
import { messageOf } from "./error.ts";
import { Secret } from "./secret.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A kind turns the text of a variable into its value, or says what it expected. */
export type Kind<T> = z.ZodType<T, string>;

/** One variable of a service: its name beside its meaning, so that two cannot be swapped. */
export interface Variable<T> {
  readonly name: string;
  readonly about: string;
  readonly kind: Kind<NonNullable<T>>;
  readonly presence: "required" | "optional" | "default";
  readonly fallback?: T;
}

export type Shape = Readonly<Record<string, Variable<unknown>>>;

/** The values that a shape promises, inferred from it and never written twice. */
export type Config<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Variable<infer T> ? T : never;
};

export function required<T>(name: string, kind: Kind<T>, about: string): Variable<T> {
  return { name, kind, about, presence: "required" } as Variable<T>;
}

export function optional<T>(name: string, kind: Kind<T>, about: string): Variable<T | undefined> {
  return { name, kind, about, presence: "optional" } as Variable<T | undefined>;
}

export function withDefault<T>(
  name: string,
  kind: Kind<T>,
  fallback: NoInfer<T>,
  about: string,
): Variable<T> {
  return { name, kind, about, presence: "default", fallback } as Variable<T>;
}

/** Every problem of a configuration at once, each with the variable's name. Exit code 2 (usage) at start. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`Invalid configuration:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

/**
 * Reads a service's variables.
 *
 * An empty variable counts as unset, as in shells and Compose files. A secret may come from the file named by
 * `<NAME>_FILE` instead (Docker and Kubernetes secrets). The result is frozen.
 *
 * @throws ConfigError listing all problems; a secret's value never stands in the message
 */
export function readConfig<const S extends Shape>(shape: S, env: Environment): Config<S> {
  const problems: string[] = [];
  const values = Object.entries(shape).map(([key, variable]) => [
    key,
    readVariable(variable, env, problems),
  ]);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(Object.fromEntries(values)) as Config<S>;
}

/** The secrets among a table's variables that are set, for the redactor of a log that starts before the service does. */
export function secretsIn(shape: Shape, env: Environment): readonly Secret[] {
  return Object.values(shape)
    .filter(({ kind }) => isSecretKind(kind))
    .flatMap(({ name }) => textOf(name, true, env, []) ?? [])
    .map((value) => new Secret(value));
}

function isSecretKind(kind: unknown): boolean {
  return kind === secret || kind === postgresUrl;
}

function readVariable(variable: Variable<unknown>, env: Environment, problems: string[]): unknown {
  const { name, kind, presence, fallback } = variable;
  const isSecret = isSecretKind(kind);
  const text = textOf(name, isSecret, env, problems);
  if (text === undefined) {
    if (presence === "required") problems.push(`${name}: is required (${variable.about})`);
    return fallback;
  }
  const parsed = kind.safeParse(text);
  if (parsed.success) return parsed.data;
  const shown = isSecret ? "" : `, got ${JSON.stringify(abbreviate(text))}`;
  problems.push(...parsed.error.issues.map((issue) => `${name}: ${issue.message}${shown}`));
  return undefined;
}

function textOf(
  name: string,
  isSecret: boolean,
  env: Environment,
  problems: string[],
): string | undefined {
  const direct = env[name];
  if (direct !== undefined && direct !== "") return direct;
  const path = isSecret ? env[`${name}_FILE`] : undefined;
  if (path === undefined || path === "") return undefined;
  try {
    const content = readFileSync(path, "utf8").replace(/\r?\n$/, "");
    if (content === "") problems.push(`${name}_FILE: the file is empty`);
    return content === "" ? undefined : content;
  } catch (error) {
    problems.push(`${name}_FILE: cannot be read: ${messageOf(error)}`);
    return undefined;
  }
}

function abbreviate(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

export const text: Kind<string> = z.string();

/** An absolute http or https address, without a trailing slash. */
export const url: Kind<string> = z
  .string()
  .refine((value) => /^https?:\/\/[^\s/]+/.test(value) && URL.canParse(value), {
    error: "must be an http:// or https:// address",
  })
  .transform((value) => value.replace(/\/+$/, ""));

export const secret: Kind<Secret> = z.string().transform((value) => new Secret(value));

/** A PostgreSQL address (or socket folder). Secret, as it may hold a password. */
export const postgresUrl: Kind<Secret> = z
  .string()
  .refine((value) => /^(postgres(ql)?:\/\/|socket:|\/)/.test(value), {
    error: "must be a postgres:// address",
  })
  .transform((value) => new Secret(value));

/** `true|on|yes|1` or `false|off|no|0`. */
export const flag: Kind<boolean> = z
  .string()
  .refine((value) => /^(true|on|yes|1|false|off|no|0)$/i.test(value), {
    error: "must be true or false (on, off)",
  })
  .transform((value) => /^(true|on|yes|1)$/i.test(value));

/** Comma-separated; blanks around an entry and empty entries are dropped. */
export const list: Kind<readonly string[]> = z.string().transform((value) =>
  value
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== ""),
);

export function integer(range: { readonly min: number; readonly max: number }): Kind<number> {
  return numeric(/^-?\d+$/, "an integer", range);
}

export function decimal(range: { readonly min: number; readonly max: number }): Kind<number> {
  return numeric(/^-?\d+(\.\d+)?$/, "a number", range);
}

function numeric(
  pattern: RegExp,
  noun: string,
  { min, max }: { min: number; max: number },
): Kind<number> {
  return z
    .string()
    .refine((value) => pattern.test(value) && Number(value) >= min && Number(value) <= max, {
      error: `must be ${noun} from ${min} to ${max}`,
    })
    .transform(Number);
}

/** A TCP port; 0 lets the system choose a free one. */
export const port: Kind<number> = integer({ min: 0, max: 65_535 });

export function choice<const T extends string>(...values: readonly T[]): Kind<T> {
  return z.string().refine((value): value is T => (values as readonly string[]).includes(value), {
    error: `must be one of ${values.join(", ")}`,
  });
}
