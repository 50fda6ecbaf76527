import type { Log } from "../lib/log.ts";
import { openModel, trainDefaultModel, type Model } from "./model.ts";
import type { StoredModel } from "./types.ts";

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
 * The newest stored model or, when there is none that can be used, the default one, trained now. Never rejects: without
 * a database the default model lives in memory, and without any model the scorer takes the mean of the features.
 */
export async function loadModel({ store, log, now }: LoadModelDeps): Promise<Model | undefined> {
  try {
    const stored = await store?.newestModel();
    if (stored !== undefined) return openModel(stored);
  } catch (error) {
    log.error("stored model refused, default model is used", { error });
  }
  return trainNow({ store, log, now });
}

async function trainNow({ store, log, now }: LoadModelDeps): Promise<Model | undefined> {
  try {
    const trained = trainDefaultModel(now);
    const model = openModel(trained);
    log.info("default model trained", { sha256: trained.sha256, ...trained.parameters });
    await store?.saveModel(trained).catch((error: unknown) => {
      log.warn("model not stored", { error });
    });
    return model;
  } catch (error) {
    log.error("no model, the mean of the features is used", { error });
    return undefined;
  }
}
