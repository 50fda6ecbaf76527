import type { Json } from "./types.ts";

/** RFC 7396: objects are merged, null removes, everything else (lists too) replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, key);
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/**
 * The lists that a strategic merge patch merges, by the key of their items (`patchMergeKey` in the Kubernetes types);
 * every other list is replaced.
 */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  env: "name",
  volumes: "name",
  volumeMounts: "mountPath",
  ports: "containerPort",
  imagePullSecrets: "name",
  conditions: "type",
};

/** Kubernetes' own patch: as a merge patch, but lists of named things are merged by name; `$patch: delete` removes one. */
export function strategicMergePatch(target: unknown, patch: unknown, field = ""): unknown {
  const key = MERGE_KEYS[field];
  if (Array.isArray(patch) && key !== undefined) {
    return mergeList(Array.isArray(target) ? target.filter(isObject) : [], patch, key);
  }
  if (!isObject(patch)) return patch;
  const replaces = patch["$patch"] === "replace";
  const result: Record<string, unknown> = isObject(target) && !replaces ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith("$")) continue; // a directive, such as $retainKeys
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = strategicMergePatch(result[name], value, name);
  }
  return result;
}

function mergeList(
  target: readonly Json[],
  patch: readonly unknown[],
  key: string,
): readonly unknown[] {
  let result: readonly Json[] = target;
  for (const item of patch.filter(isObject)) {
    const at = result.findIndex((each) => each[key] === item[key]);
    if (item["$patch"] === "delete") result = result.filter((_, index) => index !== at);
    else if (at < 0) result = [...result, strategicMergePatch({}, item) as Json];
    else result = result.with(at, strategicMergePatch(result[at], item) as Json);
  }
  return result;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
