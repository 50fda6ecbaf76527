import type { Log } from "../../lib/log.ts";
import type { KeyWrapper } from "../../lib/envelope/types.ts";
import type { BlobStore } from "../../lib/storage.ts";

/** The wrapping keys that there can be, and the variable that says which one it is. */
export const KEY_VARIABLES = {
  local: "AUDIT_LOCAL_KEY_FILE",
  aws_kms: "AWS_KMS_KEY_ID",
  gcp_kms: "GCP_KMS_KEY",
  azure_kv: "AZURE_KV_KEY_ID",
} as const;
export type KeyName = keyof typeof KEY_VARIABLES;
export const KEY_NAMES = ["local", "aws_kms", "gcp_kms", "azure_kv"] as const satisfies KeyName[];

/** Where exported snapshots go, and what seals them. */
export interface Vault {
  /** Undefined: no place is configured. */
  readonly store: BlobStore | undefined;
  /** One of these variables names a place. */
  readonly placeVariables: readonly string[];
  /** Those that are configured. */
  readonly keys: ReadonlySet<KeyName>;
  /** Read anew for each export: files are replaced. @throws when a key cannot be used */
  readonly openKeys: () => Promise<readonly KeyWrapper[]>;
  /** How many of the keys must answer when nobody has named them; undefined: all. */
  readonly quorum: number | undefined;
  /** Each wrapped key is opened again and compared. */
  readonly selftest: boolean;
  /** A file holds at most so many bytes of the snapshot. */
  readonly partBytes: number;
  readonly log: Log;
}
