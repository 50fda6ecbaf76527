import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { parse } from "yaml";

interface Service {
  readonly image?: string;
  readonly build?: {
    readonly context: string;
    readonly dockerfile: string;
    readonly target?: string;
  };
  readonly restart?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** Keys of a service that this check has looked at; another one is looked up before it is added here. */
const KEYS = [
  "image",
  "build",
  "command",
  "entrypoint",
  "environment",
  "env_file",
  "volumes",
  "ports",
  "depends_on",
  "healthcheck",
  "restart",
  "profiles",
  "read_only",
  "tmpfs",
  "cap_drop",
  "security_opt",
  "stop_grace_period",
];

/** Has no numbered tags; it is a server to try uploads on, of a profile of its own. */
const UNVERSIONED = ["atmoz/sftp:alpine"];

/** The engine's own. */
const SOCKET = "/var/run/docker.sock";
/** Folders that the engine makes, as root, when they are missing; this service gives them to who writes there. */
const MADE = ["./backups", "./sftp"];
const GIVES = "folders";

/** docker-compose.yml and the Dockerfiles: every name in them leads somewhere. They are not run here. */
export async function checkCompose(): Promise<readonly string[]> {
  const compose = parse(await readFile("docker-compose.yml", "utf8"), { merge: true }) as Compose;
  const variables = variablesOf(await readFile(".env.example", "utf8"));
  const problems = await Promise.all(
    Object.entries(compose.services).map(async ([name, service]) => {
      const found = [
        ...shape(service),
        ...dependencies(service, compose),
        ...mounts(service, compose),
        ...(name === GIVES ? [] : given(service, compose)),
        ...environment(service, variables),
        ...(await dockerfile(service)),
      ];
      return found.map((problem) => `docker-compose.yml: ${name} ${problem}`);
    }),
  );
  return [...problems.flat(), ...(await scraped(compose)), ...(await seen())];
}

function shape(service: Service): readonly string[] {
  const { image = "", restart, healthcheck } = service;
  const isAsked =
    restart === "no" || healthcheck?.disable === true || healthcheck?.test !== undefined;
  return [
    ...Object.keys(service)
      .filter((key) => !KEYS.includes(key))
      .map((key) => `has an unknown key ${key}`),
    ...(/:[\w.-]*\d[\w.-]*$/.test(image) || UNVERSIONED.includes(image)
      ? []
      : [`has no fixed version: ${image}`]),
    ...(restart === undefined ? ["says nothing about restarts"] : []),
    ...(isAsked ? [] : ["has no health check"]),
    ...(service.ports ?? [])
      .filter((port) => !port.startsWith("127.0.0.1:"))
      .map((port) => `is open to the network: ${port}`),
  ];
}

function dependencies({ depends_on = {} }: Service, { services }: Compose): readonly string[] {
  return Object.entries(depends_on).flatMap(([name, { condition }]) => {
    const other = services[name];
    if (other === undefined) return [`waits for ${name}, which is not there`];
    if (condition === "service_healthy")
      return other.healthcheck?.test === undefined
        ? [`waits for the health of ${name}, which has no check`]
        : [];
    if (condition === "service_completed_successfully")
      return other.restart === "no" ? [] : [`waits for the end of ${name}, which is started again`];
    return [`waits for ${name} to be ${condition}`];
  });
}

function mounts({ volumes = [] }: Service, compose: Compose): readonly string[] {
  return volumes.flatMap((mount) => {
    const [source = ""] = mount.split(":");
    const isPath = /^[./]/.test(source);
    const isThere = isPath
      ? [...MADE, SOCKET].includes(source) || existsSync(source)
      : source in compose.volumes;
    return isThere ? [] : [`mounts ${source}, which is not there`];
  });
}

/** Nobody but root can write into what the engine makes, until it is given away. */
function given(
  { volumes = [], depends_on = {} }: Service,
  { services }: Compose,
): readonly string[] {
  const made = volumes.flatMap((mount) => MADE.filter((path) => mount.startsWith(`${path}:`)));
  return made
    .filter((path) => {
      const inside = services[GIVES]?.volumes?.find((mount) => mount.startsWith(`${path}:`));
      const given = (services[GIVES]?.command ?? []).join(" ");
      const isGiven = inside !== undefined && given.includes(` ${inside.split(":")[1] ?? ""}`);
      return depends_on[GIVES] === undefined || !isGiven;
    })
    .map((path) => `writes into ${path}, which is root's`);
}

function environment(
  { image = "", environment = {} }: Service,
  variables: ReadonlySet<string>,
): readonly string[] {
  if (!image.startsWith("fettle:") && !image.startsWith("fettle-backup:")) return [];
  return Object.keys(environment)
    .filter((name) => !variables.has(name))
    .map((name) => `sets ${name}, which no service reads`);
}

async function dockerfile({ build, volumes = [] }: Service): Promise<readonly string[]> {
  if (build === undefined) return [];
  const text = await readFile(build.dockerfile, "utf8");
  const lines = text.split("\n");
  const copied = lines
    .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
    .flatMap((line) => line.split(" ").slice(1, -1));
  const stages = lines.flatMap((line) => /^FROM \S+ AS (\S+)$/.exec(line)?.[1] ?? []);
  const isTarget = build.target === undefined || stages.includes(build.target);
  return [
    ...copied
      .filter((path) => !existsSync(path))
      .map((path) => `copies ${path}, which is not there`),
    ...(isTarget ? [] : [`builds ${build.target}, which ${build.dockerfile} does not have`]),
    ...(/^USER \d+:\d+$/m.test(text) ? [] : [`runs as root: ${build.dockerfile}`]),
    ...(/^FROM \S+:latest|^FROM [^:\s]+$/m.test(text.replace(/^FROM app$/m, ""))
      ? [`has an unfixed base: ${build.dockerfile}`]
      : []),
    ...volumes
      .flatMap((mount) => /^[a-z]\w*:(\/\w+)$/.exec(mount)?.[1] ?? [])
      .filter((path) => !new RegExp(`^RUN install -d .*-o 65532 .* ${path}\\b`, "m").test(text))
      .map((path) => `writes into ${path}, which is root's: ${build.dockerfile}`),
    ...(/^ADD /m.test(text) ? [`uses ADD: ${build.dockerfile}`] : []),
  ];
}

/** What Prometheus asks is there. */
async function scraped({ services }: Compose): Promise<readonly string[]> {
  const text = await readFile("ops/prometheus/prometheus.yml", "utf8");
  const hosts = [...text.matchAll(/"([a-z-]+):\d+"|names: \[([a-z-]+)\]/g)].map(
    ([, one, other]) => one ?? other ?? "",
  );
  return hosts
    .filter((host) => host !== "localhost" && !(host in services))
    .map((host) => `prometheus.yml: docker-compose.yml has no service ${host}`);
}

/** `docker compose down` leaves the services of a profile running. */
async function seen(): Promise<readonly string[]> {
  const makefile = await readFile("Makefile", "utf8");
  return [...makefile.matchAll(/^\tdocker compose (?!up )\w+.*$/gm)].map(
    ([line]) => `Makefile: does not see the services of profiles: ${line.trim()}`,
  );
}

function variablesOf(example: string): ReadonlySet<string> {
  return new Set([...example.matchAll(/^#?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = ""]) => name));
}
