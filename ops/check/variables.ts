import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { envSections } from "../../cli/env-example.ts";
import { renderedKustomizations } from "../kubernetes/render.ts";

const WORKFLOWS = ".github/workflows";
const PAGE = "docs/operations.md";
const HEADING = "## Workflows";
const SECRETS = "ops/kubernetes/secret.example.yaml";
/** What the clouds' and GitHub's own programs read. */
const FOREIGN = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GH_TOKEN", "KUBECONFIG"];
/** Which table a command's variables stand in, where it is not called like the service. */
const TABLES: Readonly<Record<string, string>> = {
  export: "exporter",
  backup: "exporter",
  migrate: "exporter", // it needs the database alone, as the exporter's table says
};

const EXPORTS = `${WORKFLOWS}/export-audit.yml`;
/** What the workflow that exports is not given, and why. */
const NOT_EXPORTED: readonly (readonly [why: string, names: readonly string[]])[] = [
  [
    "GitHub's clock begins it, and it listens to nobody",
    ["AUDIT_EXPORT_CRON", "AUDIT_EXPORT_TZ", "EXPORTER_HOST", "EXPORTER_PORT"],
  ],
  ["`fettle drill` alone reads it", ["AUDIT_DRILL_PGP_PRIVATE_KEY_FILE", "FETTLE_PGP_PASSPHRASE"]],
  [
    "AUDIT_PGP_PUBLIC_KEYS holds as many keys as wanted",
    ["AUDIT_PGP_PUBLIC_KEY", "AUDIT_PGP_PUBLIC_KEY_FILE", "AUDIT_PGP_PUBLIC_KEY_FILES"],
  ],
  [
    "rows that are not sealed would lie among GitHub's artifacts",
    ["AUDIT_ENCRYPTION", "AUDIT_PGP_DELETE_PLAINTEXT", "AUDIT_KMS_DELETE_ORIGINAL"],
  ],
  [
    "it is for trying out, by a stand-in on the same machine or for an hour",
    [
      "AUDIT_MOCK_FORCE",
      "AUDIT_GCS_ENDPOINT",
      "AZURE_KV_CA_FILE",
      "DROPBOX_ACCESS_TOKEN",
      "DROPBOX_ENDPOINT",
      "GCP_KMS_ENDPOINT",
      "GCP_SECRET_MANAGER_ENDPOINT",
      "GDRIVE_ENDPOINT",
      "MS_CA_FILE",
    ],
  ],
];
/** `fettle retain` reads these. */
const RETENTION = /_RETENTION_DAYS$/;

/** Each variable that a workflow sets is read by somebody, and each container has those without which its command does not start. */
export async function checkVariables(): Promise<readonly string[]> {
  const sections = await envSections();
  const known = new Set(
    sections.flatMap(({ shape }) => Object.values(shape).map(({ name }) => name)),
  );
  const required = new Map(
    sections.map(({ title, shape }) => [
      title.split(":")[0] ?? "",
      Object.values(shape).flatMap(({ name, presence }) => (presence === "required" ? [name] : [])),
    ]),
  );
  const lacks = ({ where, command, set }: Started) =>
    (required.get(TABLES[command] ?? command) ?? [])
      .filter((name) => !set.includes(name))
      .map(
        (name) => `${where} does not set ${name}, without which fettle ${command} does not start`,
      );
  return [
    ...(await workflowProblems(known)),
    ...(await secretProblems()),
    ...(await exportProblems(sections)),
    ...[...(await ofCompose()), ...(await ofKubernetes())].flatMap(lacks),
  ];
}

interface Started {
  readonly where: string;
  readonly command: string;
  readonly set: readonly string[];
}

async function ofCompose(): Promise<readonly Started[]> {
  const { services } = parse(await readFile("docker-compose.yml", "utf8"), { merge: true }) as {
    services: Readonly<
      Record<string, { image?: string; command?: string[]; environment?: object }>
    >;
  };
  return Object.entries(services)
    .filter(([, { image = "" }]) => /^fettle(-backup)?:/.test(image))
    .map(([name, { command = [], environment = {} }]) => ({
      where: `docker-compose.yml: ${name}`,
      command: command[0] ?? "",
      set: Object.keys(environment),
    }));
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly valueFrom?: {
      readonly secretKeyRef?: { readonly name: string; readonly key: string };
    };
  }[];
}

/** Each key that a pod takes from a Secret stands in the example of that Secret, be it behind a `#`. */
async function secretProblems(): Promise<readonly string[]> {
  const documents = (await readFile(SECRETS, "utf8")).split("---\n");
  const keysOf = (name: string) =>
    documents
      .filter((text) => text.includes(`name: ${name},`))
      .flatMap((text) => [...text.matchAll(/^ {2}(?:# )?([A-Z][A-Z0-9_]+):/gm)])
      .map(([, key]) => key);
  const asked = (await renderedKustomizations()).flatMap(({ manifests }) =>
    containersIn(manifests).flatMap(({ env = [] }) =>
      env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []),
    ),
  );
  const missing = asked
    .filter(({ name, key }) => !keysOf(name).includes(key))
    .map(({ name, key }) => `${SECRETS}: ${name} has no ${key}, which a pod takes from it`);
  return [...new Set(missing)];
}

async function ofKubernetes(): Promise<readonly Started[]> {
  return (await renderedKustomizations()).flatMap(({ folder, manifests }) =>
    containersIn(manifests)
      .filter(({ image }) => /\/fettle(-backup)?:/.test(image))
      .map(({ name, args = [], env = [] }) => ({
        where: `${folder}: ${name}`,
        command: args[0] ?? "",
        set: env.map((one) => one.name),
      })),
  );
}

function containersIn(value: unknown): readonly Container[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) =>
    key === "containers" ? (one as Container[]) : containersIn(one),
  );
}

type Env = Readonly<Record<string, unknown>>;

interface Job {
  readonly env?: Env;
  readonly steps?: readonly { readonly env?: Env; readonly run?: string }[];
}

async function workflowProblems(known: ReadonlySet<string>): Promise<readonly string[]> {
  const scripts = await scriptsText();
  const [, after = ""] = (await readFile(PAGE, "utf8")).split(`${HEADING}\n`);
  const [page = ""] = after.split("\n## ");
  const names = await readdir(WORKFLOWS);
  const found = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(WORKFLOWS, name), "utf8");
      const { env = {}, jobs } = parse(text) as { env?: Env; jobs: Readonly<Record<string, Job>> };
      const set = [
        ...Object.keys(env),
        ...Object.values(jobs).flatMap((job) => [
          ...Object.keys(job.env ?? {}),
          ...(job.steps ?? []).flatMap((step) => Object.keys(step.env ?? {})),
        ]),
      ];
      const isRead = (variable: string) =>
        known.has(variable) ||
        FOREIGN.includes(variable) ||
        new RegExp(`\\$\\{?${variable}\\b`).test(text) ||
        new RegExp(`\\b${variable}\\b`).test(scripts);
      const asked = [...text.matchAll(/\b(?:vars|secrets)\.([A-Z][A-Z0-9_]*)/g)];
      return [
        ...[...new Set(set)]
          .filter((variable) => !isRead(variable))
          .map((variable) => `${WORKFLOWS}/${name}: sets ${variable}, which nothing reads`),
        ...asked
          .filter(([, setting = ""]) => !page.includes(`\`${setting}\``))
          .map(
            ([, setting = ""]) =>
              `${WORKFLOWS}/${name}: ${PAGE} does not say that it needs ${setting}`,
          ),
      ];
    }),
  );
  return found.flat();
}

/** Whatever the exporter can be told, its workflow can be told as well, or it is said why not. */
async function exportProblems(
  sections: Awaited<ReturnType<typeof envSections>>,
): Promise<readonly string[]> {
  const text = await readFile(EXPORTS, "utf8");
  const names = sections
    .filter(({ title }) => title.startsWith("exporter:"))
    .flatMap(({ shape }) => Object.values(shape).map(({ name }) => name));
  const left = NOT_EXPORTED.flatMap(([, without]) => without);
  const isGiven = (name: string) => new RegExp(`\\b${name}[:=]`).test(text);
  return [
    ...names
      .filter((name) => !isGiven(name) && !left.includes(name) && !RETENTION.test(name))
      .map((name) => `${EXPORTS}: cannot be given ${name}, which the exporter reads`),
    ...left
      .filter((name) => isGiven(name) || !names.includes(name))
      .map((name) => `${EXPORTS}: ${name} is among what it is not given`),
  ];
}

/** Of what the workflows start besides the services. */
async function scriptsText(): Promise<string> {
  const names = (await readdir("ops")).filter((name) => name.endsWith(".ts"));
  const paths = ["Makefile", ...names.map((name) => join("ops", name))];
  return (await Promise.all(paths.map(async (path) => readFile(path, "utf8")))).join("\n");
}
