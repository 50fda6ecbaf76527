import type { Json } from "../types/collect.ts";

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text (or number) at a path; "" when there is none. */
export function textAt(object: Json, ...path: readonly string[]): string {
  const value = at(object, path);
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** The objects of the list at a path; empty when there is none. */
export function listOf(object: Json, ...path: readonly string[]): readonly Json[] {
  const value = at(object, path);
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function nameOf(object: Json): string {
  return textAt(object, "metadata", "name");
}

function at(object: Json, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), object);
}
