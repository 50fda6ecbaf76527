import type { BlobStore, StoreOptions } from "../../storage.ts";
import { openAzureStore } from "./azure.ts";
import { openDropbox } from "./drives/dropbox.ts";
import { openGoogleDrive } from "./drives/google-drive.ts";
import { openGraphDrive } from "./drives/graph.ts";
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
    case "gdrive":
      return openGoogleDrive(options);
    case "dropbox":
      return openDropbox(options);
    case "onedrive":
    case "sharepoint":
      return openGraphDrive(options.kind, options);
  }
}
