import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { sha256Hex } from "../lib/canonical.ts";
import { messageOf } from "../lib/error.ts";
import { isLoopbackHost } from "../lib/loopback.ts";
import { Secret } from "../lib/secret.ts";

/** What shows that a request comes from a source; of each kind of secret there may be two, so that it can be replaced. */
export type Proof =
  /** SHA-256 (hex) of its tokens; `token`: as bearer, or as the password of basic authentication. */
  | { readonly kind: "bearer" | "basic" | "token"; readonly sha256: readonly string[] }
  | { readonly kind: "hmac"; readonly keys: readonly Secret[] }
  /** Names of its client certificate, as the trusted proxy tells them. */
  | { readonly kind: "mtls"; readonly names: readonly string[] };

/** Somebody who may send alerts. */
export interface Source {
  readonly name: string;
  /** The namespaces that it may speak for; null is all, and an empty list none: it may not send. */
  readonly namespaces: readonly string[] | null;
  readonly proof: Proof;
}

export interface Sources {
  readonly all: readonly Source[];
  /** Only on a loopback address, and only when no source is configured. */
  readonly allowAnonymous: boolean;
  /** Null (all) also for a source that is no longer configured: what it sent was checked when it came. */
  readonly sourceNamespacesOf: (source: string) => readonly string[] | null;
}

interface SourcesConfig {
  readonly webhookToken: Secret | undefined;
  readonly webhookSecret: Secret | undefined;
  readonly sourcesFile: string | undefined;
  readonly host: string;
}

/** The names of the sources that RUNBOOK_WEBHOOK_TOKEN and AIOPS_WEBHOOK_SECRET stand for. */
const OWN_NAMES: ReadonlySet<string> = new Set(["alertmanager", "detector", "anonymous"]);
const KEY_MIN_LENGTH = 16;

/** @throws Error that names each problem of RUNBOOK_SOURCES_FILE */
export function openSources(config: SourcesConfig): Sources {
  const { webhookToken, webhookSecret, sourcesFile, host } = config;
  const all: Source[] = [];
  if (webhookToken !== undefined) {
    const proof = { kind: "token", sha256: [sha256Hex(webhookToken.reveal())] } as const;
    all.push({ name: "alertmanager", namespaces: null, proof });
  }
  if (webhookSecret !== undefined)
    all.push({
      name: "detector",
      namespaces: null,
      proof: { kind: "hmac", keys: [webhookSecret] },
    });
  if (sourcesFile !== undefined) all.push(...readSources(sourcesFile));
  const namespaces = new Map(all.map((source) => [source.name, source.namespaces]));
  return {
    all,
    allowAnonymous: all.length === 0 && isLoopbackHost(host),
    sourceNamespacesOf: (source) => namespaces.get(source) ?? null,
  };
}

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: "must be lower-case letters, digits and dashes" })
  .refine((value) => !OWN_NAMES.has(value), { error: "is Fettle's own name for a source" });
const namespaces = z.array(z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)).optional();
const sha256 = z
  .array(z.string().regex(/^[0-9a-f]{64}$/, { error: "must be a SHA-256 in 64 hex digits" }))
  .min(1)
  .max(2);

const fileSchema = z.strictObject({
  sources: z
    .array(
      z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.enum(["bearer", "basic"]), name, namespaces, sha256 }),
        z.strictObject({
          kind: z.literal("hmac"),
          name,
          namespaces,
          /** Files with the key: a signature cannot be checked with its hash. */
          key_files: z.array(z.string()).min(1).max(2),
        }),
        z.strictObject({
          kind: z.literal("mtls"),
          name,
          namespaces,
          names: z.array(z.string().min(1)).min(1),
        }),
      ]),
    )
    .max(1_000),
});

type Entry = z.infer<typeof fileSchema>["sources"][number];

function readSources(path: string): readonly Source[] {
  const parsed = fileSchema.safeParse(
    parse(readFileSync(path, "utf8"), { schema: "core", uniqueKeys: true, maxAliasCount: 10 }),
  );
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path: where, message }) => `${where.join(".") || "file"}: ${message}`,
    );
    throw new Error(problems.join("; "));
  }
  const { sources } = parsed.data;
  const twice = sources.find(
    (source, at) => sources.findIndex((one) => one.name === source.name) !== at,
  );
  if (twice !== undefined) throw new Error(`two sources are called ${twice.name}`);
  return sources.map((entry) => ({
    name: entry.name,
    namespaces: entry.namespaces ?? null,
    proof: proofOf(entry),
  }));
}

function proofOf(entry: Entry): Proof {
  if (entry.kind === "hmac") return { kind: "hmac", keys: entry.key_files.map(readKey) };
  if (entry.kind === "mtls") return { kind: "mtls", names: entry.names };
  return { kind: entry.kind, sha256: entry.sha256 };
}

function readKey(path: string): Secret {
  const key = readFileSync(path, "utf8").replace(/\r?\n$/, "");
  if (key.length < KEY_MIN_LENGTH)
    throw new Error(`key file ${path} must have at least ${KEY_MIN_LENGTH} characters`);
  return new Secret(key);
}

/** The problems of the file, to be told with those of the variables. */
export function sourcesProblems(config: SourcesConfig): readonly string[] {
  try {
    openSources(config);
    return [];
  } catch (error) {
    return [`RUNBOOK_SOURCES_FILE: ${messageOf(error)}`];
  }
}
