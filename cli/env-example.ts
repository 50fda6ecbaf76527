import type { Shape, Variable } from "../lib/config.ts";

export interface EnvSection {
  readonly title: string;
  readonly shape: Shape;
}

/** The sections of `.env.example`: every table of variables, each variable once, in the first section that has it. */
export async function envSections(): Promise<readonly EnvSection[]> {
  const [
    { detectorVariables },
    { runbooksVariables },
    { exporterVariables },
    { hypervisorVariables },
  ] = await Promise.all([
    import("../detector/main.ts"),
    import("../runbooks/main.ts"),
    import("../exporter/main.ts"),
    import("../hypervisor/main.ts"),
  ]);
  return [
    { title: "detector: is anything strange?", shape: detectorVariables },
    { title: "runbooks: what may we do about it?", shape: runbooksVariables },
    { title: "exporter: hand the record to somebody else, sealed", shape: exporterVariables },
    {
      title: "hypervisor: what runs here, who may touch it, what happened?",
      shape: hypervisorVariables,
    },
  ];
}

const HEAD = `# Every variable of Fettle. Copy to .env and fill in what you need; bin/fettle reads it.
# A variable that stands here with a value has that default. A secret may come from the file named by NAME_FILE instead.
`;

const COMMON = `
# --- all services
# also write the log to this file
#LOG_FILE=
# where fettle all keeps its embedded database and its own keys
#FETTLE_FOLDER=.fettle
# OpenTelemetry: traces are sent when it is set (the other OTEL_* variables count as well)
#OTEL_EXPORTER_OTLP_ENDPOINT=
`;

/** The text of \`.env.example\`, made from the tables so that it cannot differ from them. */
export function renderEnvExample(sections: readonly EnvSection[]): string {
  const seen = new Set<string>();
  const blocks = sections.map(({ title, shape }) => {
    const own = Object.values(shape).filter(({ name }) => !seen.has(name));
    for (const { name } of own) seen.add(name);
    return `\n# --- ${title}\n${own.map(renderVariable).join("\n")}\n`;
  });
  return [HEAD, COMMON, ...blocks].join("");
}

function renderVariable({ name, about, presence, fallback }: Variable<unknown>): string {
  const note = presence === "required" ? " (required)" : "";
  return `# ${about}${note}\n#${name}=${renderDefault(fallback)}`;
}

/** Defaults are texts, numbers, flags and lists of texts. */
function renderDefault(fallback: unknown): string {
  if (fallback === undefined) return "";
  return typeof fallback === "string"
    ? fallback
    : Array.isArray(fallback)
      ? fallback.join(",")
      : JSON.stringify(fallback);
}
