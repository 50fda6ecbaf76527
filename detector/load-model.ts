import type { Log } from "../lib/log.ts";
import { readDefaultModel } from "./default-model.ts";
import { openModel, trainDefaultModel, type Model } from "./model.ts";
import type { StoredModel } from "./types/store.ts";

export interface LoadModelDeps {
  readonly store:
    | {
        newestModel(): Promise<StoredModel | undefined>;
        saveModel(model: StoredModel): Promise<void>;
      }
    | undefined;
  readonly log: Log;
  readonly now: Date;
}

/**
 * The newest stored model or, when there is none that can be used, the one that ships with the program. Never rejects:
 * without a database the default model lives in memory, without its files it is trained now, and without any model the
 * scorer takes the mean of the features.
 */
export async function loadModel(deps: LoadModelDeps): Promise<Model | undefined> {
  const { store, log } = deps;
  try {
    const stored = await store?.newestModel();
    if (stored !== undefined) return openModel(stored);
  } catch (error) {
    log.error("stored model refused, default model is used", { error });
  }
  try {
    return await openDefault(deps);
  } catch (error) {
    log.error("no model, the mean of the features is used", { error });
    return undefined;
  }
}

async function openDefault({ store, log, now }: LoadModelDeps): Promise<Model> {
  const chosen = await shippedOrTrained(log, now);
  const model = openModel(chosen);
  log.info("default model in use", { sha256: chosen.sha256, ...chosen.parameters });
  await store?.saveModel(chosen).catch((error: unknown) => {
    log.warn("model not stored", { error });
  });
  return model;
}

async function shippedOrTrained(log: Log, now: Date): Promise<StoredModel> {
  try {
    const shipped = await readDefaultModel();
    openModel(shipped);
    return shipped;
  } catch (error) {
    log.warn("shipped model cannot be read, it is trained now", { error });
    return trainDefaultModel(now);
  }
}
