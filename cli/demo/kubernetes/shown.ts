import { budgetStatus } from "./budget.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject, Resource } from "./types.ts";

/** An object as a client sees it: a budget with its arithmetic done, and nothing for the parts that its kind has not. */
export function shownObject(store: Store, resource: Resource, object: KubernetesObject): Json {
  const { spec, status, ...rest } = object;
  const shown =
    resource === "poddisruptionbudgets" ? { ...status, ...budgetStatus(store, object) } : status;
  return {
    ...rest,
    ...(Object.keys(spec).length > 0 ? { spec } : {}),
    ...(Object.keys(shown).length > 0 ? { status: shown } : {}),
  };
}
