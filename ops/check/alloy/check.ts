import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { messageOf } from "../../../lib/error.ts";
import { parseAlloy, type Block } from "./parse.ts";

/** What a component takes and gives; looked up in Alloy's reference before it is added here. */
interface Component {
  readonly required: readonly string[];
  readonly optional?: readonly string[];
  /** Blocks within it, with their attributes; the first of them are required. */
  readonly blocks?: Readonly<Record<string, readonly string[]>>;
  /** Fields that others may refer to, and of which kind they are. */
  readonly exports?: Readonly<Record<string, Kind>>;
}

type Kind = "targets" | "receiver";

const COMPONENTS: Readonly<Record<string, Component>> = {
  "discovery.docker": { required: ["host"], exports: { targets: "targets" } },
  "discovery.kubernetes": {
    required: ["role"],
    blocks: { selectors: ["role", "field", "label"] },
    exports: { targets: "targets" },
  },
  "discovery.relabel": {
    required: ["targets"],
    blocks: {
      rule: ["source_labels", "target_label", "regex", "replacement", "separator", "action"],
    },
    exports: { output: "targets" },
  },
  "local.file_match": { required: ["path_targets"], exports: { targets: "targets" } },
  "loki.source.docker": { required: ["host", "targets", "forward_to"] },
  "loki.source.kubernetes": { required: ["targets", "forward_to"] },
  "loki.source.file": { required: ["targets", "forward_to"] },
  "loki.process": {
    required: ["forward_to"],
    blocks: { "stage.json": ["expressions"], "stage.structured_metadata": ["values"] },
    exports: { receiver: "receiver" },
  },
  "loki.write": {
    required: [],
    optional: ["external_labels"],
    blocks: { endpoint: ["url"] },
    exports: { receiver: "receiver" },
  },
};

/** Attributes that take what other components give. */
const TAKES: Readonly<Record<string, Kind>> = { targets: "targets", forward_to: "receiver" };

/** Alloy's configurations: their syntax, their components, and that each leads to the next. */
export async function checkAlloy(): Promise<readonly string[]> {
  const values = parse(await readFile("ops/helm/alloy-values.yaml", "utf8")) as {
    controller: { type: string };
    alloy: { storagePath?: string; configMap: { content: string } };
  };
  const { controller, alloy } = values;
  const isPerNode =
    controller.type !== "daemonset" || alloy.configMap.content.includes("spec.nodeName=");
  return [
    ...problemsOf("ops/alloy/config.alloy", await readFile("ops/alloy/config.alloy", "utf8")),
    ...problemsOf("ops/helm/alloy-values.yaml", alloy.configMap.content),
    ...(isPerNode ? [] : ["ops/helm/alloy-values.yaml: each node sends the logs of every node"]),
    ...(alloy.storagePath === undefined
      ? ["ops/helm/alloy-values.yaml: forgets what it has sent"]
      : []),
  ];
}

function problemsOf(path: string, text: string): readonly string[] {
  try {
    const { blocks, attributes } = parseAlloy(text);
    const gives = exportsOf(blocks);
    const used = new Set(blocks.flatMap(referencesOf));
    return [
      ...[...attributes.keys()].map((name) => `sets ${name} outside of a component`),
      ...blocks.flatMap((block) => [...shape(block), ...links(block, gives)]),
      ...blocks
        .filter(({ name }) => COMPONENTS[name]?.exports !== undefined)
        .filter((block) => ![...used].some((name) => name.startsWith(`${idOf(block)}.`)))
        .map((block) => `${idOf(block)} leads nowhere`),
    ].map((problem) => `${path}: ${problem}`);
  } catch (error) {
    return [`${path}: ${messageOf(error)}`];
  }
}

function idOf({ name, label = "" }: Block): string {
  return `${name}.${label}`;
}

function exportsOf(blocks: readonly Block[]): ReadonlyMap<string, Kind> {
  const all = blocks.flatMap((block) =>
    Object.entries(COMPONENTS[block.name]?.exports ?? {}).map(
      ([field, kind]) => [`${idOf(block)}.${field}`, kind] as const,
    ),
  );
  return new Map(all);
}

function referencesOf({ attributes, blocks }: Block): readonly string[] {
  const own = [...attributes.values()].flatMap(({ references }) => references);
  return [...own, ...blocks.flatMap(referencesOf)];
}

function shape(block: Block): readonly string[] {
  const component = COMPONENTS[block.name];
  if (component === undefined) return [`${block.name} is no component that is known here`];
  const { required, optional = [], blocks = {} } = component;
  const set = [...block.attributes.keys()];
  return [
    ...(block.label === undefined ? [`${block.name} has no label`] : []),
    ...required.filter((name) => !set.includes(name)).map((name) => `${idOf(block)} lacks ${name}`),
    ...set
      .filter((name) => ![...required, ...optional].includes(name))
      .map((name) => `${idOf(block)} has no argument ${name}`),
    ...block.blocks.flatMap(({ name, attributes }) => {
      const known = blocks[name];
      if (known === undefined) return [`${idOf(block)} has no block ${name}`];
      return [...attributes.keys()]
        .filter((attribute) => !known.includes(attribute))
        .map((attribute) => `${idOf(block)}: ${name} has no argument ${attribute}`);
    }),
  ];
}

function links(block: Block, gives: ReadonlyMap<string, Kind>): readonly string[] {
  const wrong = [...block.attributes].flatMap(([attribute, { references }]) =>
    references
      .filter((name) => gives.has(name) && gives.get(name) !== TAKES[attribute])
      .map((name) => `${idOf(block)}: ${attribute} takes no ${name}`),
  );
  const missing = referencesOf(block).filter((name) => !gives.has(name));
  return [
    ...wrong,
    ...missing.map((name) => `${idOf(block)} refers to ${name}, which is not there`),
  ];
}
