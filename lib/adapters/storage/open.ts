import type { BlobStore, StoreOptions } from "../../storage.ts";
import { openAzureStore } from "./azure.ts";
import { openFolderStore } from "./folder.ts";
import { openGcsStore } from "./gcs.ts";
import { openS3Store } from "./s3.ts";

/** Asks nobody yet: a store that cannot be reached is found out by the first call. */
export function openStore(options: StoreOptions): BlobStore {
  switch (options.kind) {
    case "folder":
      return openFolderStore(options.path);
    case "s3":
      return openS3Store(options);
    case "gcs":
      return openGcsStore(options);
    case "azure":
      return openAzureStore(options);
  }
}
