import { openModel, type Model } from "./model.ts";
import type { AnomalyStore } from "./types/store.ts";

export interface FindModelDeps {
  readonly store: Pick<AnomalyStore, "model"> | undefined;
  /** The model in use; it may be in memory only. */
  readonly model: Model | undefined;
}

/** Finds a model by its hash: the one in use, or one that the database still has. */
export function modelFinder({
  store,
  model,
}: FindModelDeps): (sha256: string) => Promise<Model | undefined> {
  return async (sha256) => {
    if (model?.sha256 === sha256) return model;
    const stored = await store?.model(sha256);
    try {
      return stored && openModel(stored);
    } catch {
      return undefined; // its bytes are not those that were hashed, or a newer program wrote it
    }
  };
}
