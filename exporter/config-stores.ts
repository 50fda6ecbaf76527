import {
  flag,
  integer,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
} from "../lib/config.ts";
import { isLoopbackHost } from "../lib/loopback.ts";

const days = integer({ min: 1, max: 36_500 });
const prefix = text.refine((value) => value === "" || /^[\w.=-]+(\/[\w.=-]+)*$/.test(value), {
  error: 'must be names of letters, digits, "_", ".", "=" and "-" with slashes between them',
});
const RETENTION = "fettle retain takes away what is older there; nothing when unset";
const LOCK = "nobody can change or delete a file there for so long; the bucket must be made for it";

/** Buckets. Credentials come from each cloud's usual chain. */
export const storesShape = {
  s3Bucket: optional("AUDIT_S3_BUCKET", text, "bucket of S3 that gets the sealed files"),
  s3Prefix: withDefault("AUDIT_S3_PREFIX", prefix, "", "what names begin with there"),
  s3RetentionDays: optional("AUDIT_S3_RETENTION_DAYS", days, RETENTION),
  s3LockDays: optional("AUDIT_S3_LOCK_DAYS", days, LOCK),
  s3Region: optional("AUDIT_S3_REGION", text, "its region; AWS_REGION when unset"),
  s3Endpoint: optional("AUDIT_S3_ENDPOINT", url, "MinIO, Ceph or another server than Amazon's"),
  s3PathStyle: optional(
    "AUDIT_S3_PATH_STYLE",
    flag,
    "endpoint/bucket in place of bucket.endpoint; on where AUDIT_S3_ENDPOINT is set",
  ),
  gcsBucket: optional("AUDIT_GCS_BUCKET", text, "bucket of Google Cloud Storage that gets them"),
  gcsPrefix: withDefault("AUDIT_GCS_PREFIX", prefix, "", "what names begin with there"),
  gcsRetentionDays: optional("AUDIT_GCS_RETENTION_DAYS", days, RETENTION),
  gcsLockDays: optional("AUDIT_GCS_LOCK_DAYS", days, LOCK),
  gcsEndpoint: optional(
    "AUDIT_GCS_ENDPOINT",
    url,
    "a stand-in of Google Cloud Storage on this machine, asked without credentials",
  ),
  azureBucket: optional("AUDIT_AZURE_BUCKET", text, "container of Azure Blob that gets them"),
  azurePrefix: withDefault("AUDIT_AZURE_PREFIX", prefix, "", "what names begin with there"),
  azureRetentionDays: optional("AUDIT_AZURE_RETENTION_DAYS", days, RETENTION),
  azureLockDays: optional("AUDIT_AZURE_LOCK_DAYS", days, LOCK),
  azureUrl: optional(
    "AUDIT_AZURE_URL",
    url,
    "its account, https://<account>.blob.core.windows.net, reached by Azure's usual chain",
  ),
  azureConnectionString: optional(
    "AUDIT_AZURE_CONNECTION_STRING",
    secret,
    "the account with its key, in place of AUDIT_AZURE_URL",
  ),
} as const;

type StoresConfig = Config<typeof storesShape>;

/** What does not fit together. */
export function storeProblems(config: StoresConfig): string[] {
  const problems: string[] = [];
  const { azureBucket, azureUrl, azureConnectionString, gcsEndpoint } = config;
  const accounts = [azureUrl, azureConnectionString].filter((account) => account !== undefined);
  if (azureBucket !== undefined && accounts.length !== 1)
    problems.push("AUDIT_AZURE_URL, AUDIT_AZURE_CONNECTION_STRING: set one of them");
  if (gcsEndpoint !== undefined && !isLoopbackHost(new URL(gcsEndpoint).hostname))
    problems.push("AUDIT_GCS_ENDPOINT: must be on this machine: it is reached without credentials");
  const terms = [
    ["S3", config.s3LockDays, config.s3RetentionDays],
    ["GCS", config.gcsLockDays, config.gcsRetentionDays],
    ["AZURE", config.azureLockDays, config.azureRetentionDays],
  ] as const;
  for (const [cloud, lock, retention] of terms) {
    if (lock !== undefined && retention !== undefined && lock >= retention)
      problems.push(
        `AUDIT_${cloud}_LOCK_DAYS: must be less than AUDIT_${cloud}_RETENTION_DAYS, got ${lock}: nobody can take a locked file away`,
      );
  }
  return problems;
}

/** The variables of the buckets that are configured. */
export function namedBuckets({ s3Bucket, gcsBucket, azureBucket }: StoresConfig): string[] {
  const named = [
    ["AUDIT_S3_BUCKET", s3Bucket],
    ["AUDIT_GCS_BUCKET", gcsBucket],
    ["AUDIT_AZURE_BUCKET", azureBucket],
  ] as const;
  return named.flatMap(([name, value]) => (value === undefined ? [] : [name]));
}

/** Of those, the ones that are not on this machine. */
export function distantBuckets(config: StoresConfig): string[] {
  const account = /BlobEndpoint=([^;]+)/i.exec(config.azureConnectionString?.reveal() ?? "")?.[1];
  const addresses: Readonly<Record<string, string | undefined>> = {
    AUDIT_S3_BUCKET: config.s3Endpoint,
    AUDIT_GCS_BUCKET: config.gcsEndpoint,
    AUDIT_AZURE_BUCKET: config.azureUrl ?? account,
  };
  return namedBuckets(config).filter((name) => {
    const address = addresses[name];
    return address === undefined || !isLoopbackHost(new URL(address).hostname);
  });
}
