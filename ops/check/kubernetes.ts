import { readFile } from "node:fs/promises";
import * as client from "@kubernetes/client-node";
import {
  PrometheusRule,
  ServiceMonitor,
} from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/index";
import { idOf, kustomizations, renderKustomization, type Manifest } from "../kubernetes/render.ts";
import { soundness } from "../kubernetes/soundness.ts";

interface Model {
  validate(): void;
}
type ModelClass = new (data: object) => Model;

// The classes take their own types; what is in a file is for them to judge.
const OPERATOR = { PrometheusRule, ServiceMonitor } as unknown as Readonly<
  Record<string, ModelClass>
>;

/** Each kustomization renders to objects that Kubernetes' own schemas accept, and that fit together. */
export async function checkKubernetes(): Promise<readonly string[]> {
  const variables = variablesOf(await readFile(".env.example", "utf8"));
  const found = await Promise.all(
    kustomizations.map(async (folder) => {
      const manifests = await renderKustomization(folder).catch((error: unknown) => String(error));
      if (typeof manifests === "string") return [`${folder}: ${manifests}`];
      const problems = await Promise.all(manifests.map(schemaProblems));
      const all = [...problems.flat(), ...soundness(manifests, variables)];
      return all.map((problem) => `${folder}: ${problem}`);
    }),
  );
  return [...new Set(found.flat())];
}

/** Types and required fields by the schemas; names that no schema has by the client's own models. */
export async function schemaProblems(manifest: Manifest): Promise<readonly string[]> {
  const Model = await modelOf(manifest);
  if (Model === undefined) return [`${idOf(manifest)}: ${manifest.apiVersion} has no such kind`];
  try {
    new Model(manifest).validate();
  } catch (error) {
    return [`${idOf(manifest)}: ${error instanceof Error ? error.message : String(error)}`];
  }
  return manifest.kind in OPERATOR
    ? []
    : unknownFields(manifest).map((path) => `${idOf(manifest)}: unknown field ${path}`);
}

async function modelOf({ apiVersion, kind }: Manifest): Promise<ModelClass | undefined> {
  if (apiVersion.startsWith("monitoring.coreos.com/")) return OPERATOR[kind];
  try {
    const models = (await import(`kubernetes-models/${apiVersion}/${kind}`)) as Record<
      string,
      ModelClass
    >;
    return models[kind];
  } catch {
    return undefined;
  }
}

function unknownFields(manifest: Manifest): readonly string[] {
  const version = manifest.apiVersion.split("/").at(-1) ?? "";
  const type = `${version.charAt(0).toUpperCase()}${version.slice(1)}${manifest.kind}`;
  return strangers(manifest, type, "");
}

interface Described {
  getAttributeTypeMap?(): readonly { readonly baseName: string; readonly type: string }[];
}

/** Paths of fields that the client's model of `type` does not have. */
function strangers(value: unknown, type: string, path: string): readonly string[] {
  const [, element] =
    /^(?:Set|Array)<(.+)>$/.exec(type) ?? /^\{ \[key: string\]: (.+); \}$/.exec(type) ?? [];
  if (typeof value !== "object" || value === null) return [];
  if (element !== undefined)
    return Object.entries(value).flatMap(([key, one]) => strangers(one, element, `${path}.${key}`));
  const fields = (client as unknown as Readonly<Record<string, Described>>)[
    type
  ]?.getAttributeTypeMap?.();
  if (fields === undefined) return [];
  return Object.entries(value).flatMap(([key, one]) => {
    const field = fields.find(({ baseName }) => baseName === key);
    return field === undefined ? [`${path}.${key}`] : strangers(one, field.type, `${path}.${key}`);
  });
}

function variablesOf(example: string): ReadonlySet<string> {
  return new Set([...example.matchAll(/^#?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = ""]) => name));
}
