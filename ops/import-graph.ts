import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const PAGE = "docs/architecture.md";
const SERVICES = ["detector", "runbooks", "exporter", "hypervisor"] as const;
const BEGIN = "<!-- written by `make generate` -->";
const END = "<!-- end -->";
/** dependency-cruiser's answer is some megabytes. */
const ANSWER_BYTES_MAX = 1 << 28;

interface Cruised {
  readonly modules: readonly {
    readonly source: string;
    readonly dependencies: readonly { readonly resolved: string }[];
  }[];
}

/** docs/architecture.md with the graph as the imports are now: which kind of file imports which, not how often. */
export async function renderArchitecture(): Promise<string> {
  const [page, edges] = await Promise.all([readFile(PAGE, "utf8"), readEdges()]);
  const [head, tail] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (head < 0 || tail < head)
    throw new Error(`${PAGE} has no place for the graph (${BEGIN} … ${END})`);
  const lines = [
    "```mermaid",
    "flowchart TD",
    "  cli",
    ...SERVICES.flatMap((service) => [
      `  subgraph ${service}`,
      ...ROOMS.map((room) => `    ${service}.${room}["${room}"]`),
      "  end",
    ]),
    "  lib",
    ...edges.map(([from, to]) => `  ${from} --> ${to}`),
    "```",
  ];
  return `${page.slice(0, head)}${BEGIN}\n${lines.join("\n")}\n${page.slice(tail)}`;
}

/** The rooms of a service: its entry, what wires it, what does the work, and what speaks to vendors. */
const ROOMS = ["main", "wiring", "work", "adapters"] as const;

async function readEdges(): Promise<readonly (readonly [string, string])[]> {
  const { stdout } = await promisify(execFile)(
    "depcruise",
    ["--config", ".dependency-cruiser.js", "--output-type", "json", "cli", "lib", ...SERVICES],
    { maxBuffer: ANSWER_BYTES_MAX },
  ).catch((error: unknown) => error as { stdout: string }); // violations are another check's business
  const { modules } = JSON.parse(stdout) as Cruised;
  const edges = modules.flatMap(({ source, dependencies }) =>
    dependencies.map(({ resolved }) => `${roomOf(source) ?? ""} ${roomOf(resolved) ?? ""}`),
  );
  return [...new Set(edges)]
    .map((edge) => edge.split(" ") as [string, string])
    .filter(([from, to]) => from !== "" && to !== "" && from !== to)
    .sort();
}

function roomOf(path: string): string | undefined {
  const [top = "", second = ""] = path.split("/");
  if (top === "cli" || top === "lib") return top;
  if (!SERVICES.some((service) => service === top)) return undefined;
  if (second === "main.ts") return `${top}.main`;
  if (second === "adapters") return `${top}.adapters`;
  const isWiring = /^(service|workbench|open-(?!pgp).*)\.ts$/.test(second); // opens files, not adapters
  return isWiring ? `${top}.wiring` : `${top}.work`;
}
