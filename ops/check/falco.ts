import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { renderedKustomizations, type Manifest } from "../kubernetes/render.ts";

const RULES = "ops/falco/fettle-rules.yaml";
const AUDIT = "ops/falco/audit-policy.yaml";

const item = z.union([
  z.strictObject({ list: z.string(), items: z.array(z.string()) }),
  z.strictObject({ macro: z.string(), condition: z.string() }),
  z.strictObject({
    rule: z.string(),
    desc: z.string(),
    condition: z.string(),
    output: z.string(),
    priority: z.enum(["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE"]),
    tags: z.array(z.string()).min(1),
  }),
]);

/** Of Falco's default rules, which are loaded first. */
const DEFAULT_MACROS = ["spawned_process", "container", "open_read", "open_write"];
/** Falco's fields (falco.org/docs/reference/rules/supported-fields) that are used; looked up before another is added. */
const FIELDS = [
  "container.image.repository",
  "fd.name",
  "k8s.ns.name",
  "k8s.pod.label",
  "k8s.pod.name",
  "proc.cmdline",
  "proc.name",
  "proc.pname",
  "proc.tty",
  "user.name",
];
/** Where a pod finds its account's token. */
const TOKENS = "/var/run/secrets/kubernetes.io";
const WORDS = ["and", "or", "not", "in", "startswith", "contains", "endswith", "exists"];

const auditRule = z.strictObject({
  level: z.enum(["None", "Metadata", "Request", "RequestResponse"]),
  users: z.array(z.string()).optional(),
  verbs: z.array(z.string()).optional(),
  resources: z
    .array(z.strictObject({ group: z.string(), resources: z.array(z.string()) }))
    .optional(),
});
const auditPolicy = z.strictObject({
  apiVersion: z.literal("audit.k8s.io/v1"),
  kind: z.literal("Policy"),
  omitStages: z.array(z.enum(["RequestReceived", "ResponseStarted"])),
  rules: z.array(auditRule).min(1),
});

/** Falco's rules and the API server's audit policy, and that neither rings about what our own pods do. */
export async function checkFalco(): Promise<readonly string[]> {
  const rules = z.array(item).safeParse(parse(await readFile(RULES, "utf8")));
  const audit = auditPolicy.safeParse(parse(await readFile(AUDIT, "utf8")));
  return [
    ...(rules.success
      ? [...rules.data.flatMap((one) => words(one, rules.data)), ...(await ownDoings(rules.data))]
      : [z.prettifyError(rules.error)]
    ).map((problem) => `${RULES}: ${problem}`),
    ...(audit.success ? [] : [`${AUDIT}: ${z.prettifyError(audit.error)}`]),
  ];
}

type Item = z.infer<typeof item>;

/** Each word of a condition leads somewhere. */
function words(one: Item, all: readonly Item[]): readonly string[] {
  if ("list" in one) return [];
  const name = "rule" in one ? one.rule : one.macro;
  const known = [
    ...WORDS,
    ...DEFAULT_MACROS,
    ...all.flatMap((other) =>
      "macro" in other ? [other.macro] : "list" in other ? [other.list] : [],
    ),
  ];
  const condition = one.condition.replaceAll(/"[^"]*"|\[[^\]]*\]/g, "");
  const [values, rest] = [/\bin \(([^)]*)\)/g, condition.replaceAll(/\bin \([^)]*\)/g, "")];
  const listed = [...condition.matchAll(values)]
    .flatMap(([, inside = ""]) => inside.split(/,\s*/))
    .filter((word) => word.startsWith("fettle_") && !known.includes(word));
  const compared = rest.replaceAll(/(=|!=|startswith|contains|endswith)\s*[\w./-]+/g, "");
  const fields = [
    ...compared.matchAll(/[a-z]\w*(?:\.\w+)+/g),
    ...("rule" in one ? one.output.matchAll(/(?<=%)[a-z]\w*(?:\.\w+)+/g) : []),
  ].map(([field]) => field);
  const plain = compared
    .replaceAll(/[a-z]\w*(?:\.\w+)+/g, "")
    .split(/[\s()]+/)
    .filter((word) => /^[a-z]/.test(word));
  return [
    ...[...listed, ...plain.filter((word) => !known.includes(word))].map(
      (word) => `${name}: nothing is called ${word}`,
    ),
    ...fields
      .filter((field) => !FIELDS.includes(field))
      .map((field) => `${name}: ${field} is no field that is known here`),
    ...(balance(one.condition) === 0 ? [] : [`${name}: brackets do not match`]),
  ];
}

function balance(text: string): number {
  return text.split("(").length - text.split(")").length;
}

interface Mount {
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

/** What our own pods do must not ring: writing where they may, and reading the token that they were given. */
async function ownDoings(all: readonly Item[]): Promise<readonly string[]> {
  const conditionOf = (beginning: string) =>
    all.filter((one) => "rule" in one).find(({ rule }) => rule.startsWith(beginning))?.condition ??
    "";
  const [writes, reads] = [conditionOf("Write below the root"), conditionOf("Cluster token read")];
  const rendered = (await renderedKustomizations()).flatMap(({ manifests }) => manifests);
  const writable = new Set(
    rendered
      .flatMap(mountsOf)
      .filter(({ readOnly }) => readOnly !== true)
      .map(({ mountPath }) => mountPath),
  );
  const readers = new Set(
    rendered
      .filter((one) => mountsOf(one).some(({ mountPath }) => mountPath.startsWith(TOKENS)))
      .map(({ metadata }) => metadata.name),
  );
  return [
    ...[...writable]
      .filter((path) => !writes.includes(`startswith ${path}`))
      .map((path) => `rings about our own writes to ${path}`),
    ...[...readers]
      .filter((name) => !reads.includes(`"${name}"`))
      .map((name) => `rings about the token that ${name} was given`),
  ];
}

function mountsOf(manifest: Manifest): readonly Mount[] {
  const text = JSON.stringify(manifest);
  return [...text.matchAll(/"volumeMounts":(\[[^\]]*\])/g)].flatMap(
    ([, mounts = "[]"]) => JSON.parse(mounts) as Mount[],
  );
}
