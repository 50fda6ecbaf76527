import { readFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { parse, parseAllDocuments } from "yaml";

/** An object of Kubernetes, as it stands in a file. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

interface Kustomization {
  readonly namespace?: string;
  readonly labels?: readonly { readonly pairs: Readonly<Record<string, string>> }[];
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly images?: readonly {
    readonly name: string;
    readonly newName: string;
    readonly newTag: string;
  }[];
  readonly replicas?: readonly { readonly name: string; readonly count: number }[];
  readonly patches?: readonly { readonly path: string }[];
  readonly configMapGenerator?: readonly {
    readonly name: string;
    readonly files: readonly string[];
  }[];
  readonly generatorOptions?: {
    readonly disableNameSuffixHash?: boolean;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

const KNOWN = [
  "apiVersion",
  "kind",
  "namespace",
  "labels",
  "resources",
  "components",
  "images",
  "replicas",
  "patches",
];
const GENERATES = ["configMapGenerator", "generatorOptions"];

/**
 * Objects that get no namespace. kustomize (5.5) does not know that the admission policies are such as well and names one; the API
 * server takes it off again.
 */
const CLUSTER_KINDS = ["Namespace"];

/**
 * What `kubectl apply -k` would make of a folder, as far as our files go: resources, components, namespace, labels, images,
 * replicas, strategic merge patches (lists of named things are merged by name) and ConfigMaps from files. Whatever else a
 * kustomization says is refused, not guessed. `make soak` compares it with a real kubectl.
 *
 * @throws Error that names the file and what it does not know, or a patch that hits nothing
 */
export async function renderKustomization(folder: string): Promise<readonly Manifest[]> {
  return apply(folder, []);
}

async function apply(folder: string, before: readonly Manifest[]): Promise<readonly Manifest[]> {
  const path = join(folder, "kustomization.yaml");
  const file = parse(await readFile(path, "utf8")) as Kustomization;
  const unknown = Object.keys(file).filter((key) => ![...KNOWN, ...GENERATES].includes(key));
  if (unknown.length > 0)
    throw new Error(`${path}: this renderer does not know ${unknown.join(", ")}`);

  let manifests = [...before];
  for (const resource of file.resources ?? []) manifests.push(...(await read(folder, resource)));
  manifests.push(...(await configMaps(folder, file)));
  for (const component of file.components ?? [])
    manifests = [...(await apply(join(folder, component), manifests))];
  for (const patch of file.patches ?? [])
    manifests = await patched(manifests, join(folder, patch.path));
  return manifests.map((manifest) => transformed(manifest, file));
}

/** A file must lie in the kustomization's own folder or below, else kustomize refuses it; a folder may be anywhere. */
async function read(folder: string, resource: string): Promise<readonly Manifest[]> {
  const path = join(folder, resource);
  if (!resource.endsWith(".yaml")) return renderKustomization(path);
  if (relative(folder, path).startsWith(".."))
    throw new Error(`${folder}: ${resource} is a file that is not in or below its folder`);
  return documents(path);
}

async function documents(path: string): Promise<readonly Manifest[]> {
  const all = parseAllDocuments(await readFile(path, "utf8"));
  if (!Array.isArray(all)) return [];
  return all.map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${String(document.errors[0])}`);
    return document.toJS() as Manifest;
  });
}

async function configMaps(
  folder: string,
  { configMapGenerator = [], generatorOptions }: Kustomization,
) {
  // A hash in the name would be another object at each change.
  if (configMapGenerator.length > 0 && generatorOptions?.disableNameSuffixHash !== true)
    throw new Error(`${folder}: this renderer makes no hashes of ConfigMaps`);
  const labels = generatorOptions?.labels;
  return Promise.all(
    configMapGenerator.map(async ({ name, files }): Promise<Manifest> => {
      const data = await Promise.all(
        files.map(async (file) => [basename(file), await readFile(join(folder, file), "utf8")]),
      );
      return {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name, ...(labels === undefined ? {} : { labels }) },
        data: Object.fromEntries(data) as unknown,
      };
    }),
  );
}

async function patched(manifests: readonly Manifest[], path: string): Promise<Manifest[]> {
  let result = [...manifests];
  const patches = await documents(path);
  // kustomize before 5.2, and so kubectl before 1.30, takes one only.
  if (patches.length !== 1)
    throw new Error(`${path}: a patch is one object, here are ${patches.length}`);
  for (const patch of patches) {
    const index = result.findIndex((manifest) => idOf(manifest) === idOf(patch));
    const hit = result[index];
    if (hit === undefined) throw new Error(`${path}: nothing is called ${idOf(patch)}`);
    result =
      patch["$patch"] === "delete"
        ? result.filter((manifest) => manifest !== hit)
        : result.with(index, merge(hit, patch) as Manifest);
  }
  return result;
}

/** How kustomize tells objects apart. */
export function idOf({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
}

function merge(base: unknown, patch: unknown): unknown {
  if (isObject(base) && isObject(patch)) {
    const merged: Record<string, unknown> = { ...base };
    for (const [key, value] of Object.entries(patch)) {
      if (value === null) Reflect.deleteProperty(merged, key);
      else merged[key] = key in base ? merge(base[key], value) : value;
    }
    return merged;
  }
  return isNamedList(base) && isNamedList(patch) ? mergeByName(base, patch) : patch;
}

interface Named {
  readonly name: string;
}

function mergeByName(base: readonly Named[], patch: readonly Named[]): readonly unknown[] {
  const isIn = (list: readonly Named[], { name }: Named) => list.some((one) => one.name === name);
  return [
    ...patch.filter((one) => !isIn(base, one)), // before the others, as kustomize does
    ...base.map((one) => merge(one, patch.find(({ name }) => name === one.name) ?? {})),
  ];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNamedList(value: unknown): value is readonly Named[] {
  return (
    Array.isArray(value) && value.every((one) => isObject(one) && typeof one["name"] === "string")
  );
}

function transformed(
  manifest: Manifest,
  { namespace, labels = [], images = [], replicas = [] }: Kustomization,
): Manifest {
  const { metadata } = manifest;
  const isInNamespace = namespace !== undefined && !CLUSTER_KINDS.includes(manifest.kind);
  const count = replicas.find(
    ({ name }) => name === metadata.name && manifest.kind === "Deployment",
  )?.count;
  const added = Object.assign({}, ...labels.map(({ pairs }) => pairs)) as Record<string, string>;
  const named: Manifest = {
    ...manifest,
    metadata: {
      ...metadata,
      ...(isInNamespace ? { namespace } : {}),
      ...(labels.length === 0 ? {} : { labels: { ...metadata.labels, ...added } }),
    },
    ...(count === undefined ? {} : { spec: { ...(manifest["spec"] as object), replicas: count } }),
  };
  return withImages(named, images) as Manifest;
}

function withImages(value: unknown, images: NonNullable<Kustomization["images"]>): unknown {
  if (Array.isArray(value)) return value.map((one) => withImages(one, images));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      const image = key === "image" ? images.find(({ name }) => name === one) : undefined;
      return [
        key,
        image === undefined ? withImages(one, images) : `${image.newName}:${image.newTag}`,
      ];
    }),
  );
}

/** Every folder with a kustomization that can be applied by itself; a component only means something inside another. */
export const kustomizations: readonly string[] = [
  "ops/kubernetes/base",
  "ops/kubernetes/migrate",
  "ops/kubernetes/overlays/production",
  "ops/kubernetes/overlays/small",
  "ops/grafana",
  "ops/loki",
];

/** All of them that can be rendered; what is wrong with the others is told by the check of Kubernetes. */
export async function renderedKustomizations(): Promise<
  readonly { readonly folder: string; readonly manifests: readonly Manifest[] }[]
> {
  const rendered = await Promise.allSettled(
    kustomizations.map(async (folder) => ({
      folder,
      manifests: await renderKustomization(folder),
    })),
  );
  return rendered.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}
