import type { Clock } from "../../lib/clock.ts";
import {
  flag,
  integer,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
} from "../../lib/config.ts";
import type { StoreOptions } from "../../lib/storage.ts";

/** Where the diagnostics of runs go. Credentials come from each cloud's default chain unless something is said here. */
export const collectorVariables = {
  collectorS3Bucket: optional(
    "COLLECTOR_S3_BUCKET",
    text,
    "bucket of S3 (or MinIO, Ceph, …) for the diagnostics of runs",
  ),
  collectorS3Region: optional("COLLECTOR_S3_REGION", text, "its region; AWS_REGION when unset"),
  collectorS3Endpoint: optional(
    "COLLECTOR_S3_ENDPOINT",
    url,
    "address of an S3 server other than Amazon's",
  ),
  collectorS3PathStyle: optional(
    "COLLECTOR_S3_PATH_STYLE",
    flag,
    "endpoint/bucket in place of bucket.endpoint; on where COLLECTOR_S3_ENDPOINT is set",
  ),
  collectorGcsBucket: optional(
    "COLLECTOR_GCS_BUCKET",
    text,
    "bucket of Google Cloud Storage for the diagnostics of runs",
  ),
  collectorGcsEndpoint: optional(
    "COLLECTOR_GCS_ENDPOINT",
    url,
    "an emulator of Google Cloud Storage, asked without credentials; only for tests",
  ),
  collectorAzureContainer: optional(
    "COLLECTOR_AZURE_CONTAINER",
    text,
    "container of Azure Blob Storage for the diagnostics of runs",
  ),
  collectorAzureUrl: optional(
    "COLLECTOR_AZURE_URL",
    url,
    "its account, https://<account>.blob.core.windows.net, reached by the default Azure credentials",
  ),
  collectorAzureConnectionString: optional(
    "COLLECTOR_AZURE_CONNECTION_STRING",
    secret,
    "the account with its key, in place of COLLECTOR_AZURE_URL",
  ),
  collectorDir: optional(
    "COLLECTOR_DIR",
    text,
    "folder for the diagnostics of runs; without any of these the database keeps 256 KiB of each",
  ),
  collectorPrefix: withDefault(
    "COLLECTOR_PREFIX",
    text,
    "fettle",
    "what the names in a bucket or container begin with",
  ),
  collectorLinkHours: withDefault(
    "COLLECTOR_LINK_HOURS",
    integer({ min: 0, max: 168 }),
    24,
    "how long a link to the diagnostics in a bucket works for whoever has it; 0 for no such links",
  ),
} as const;

type Settings = Config<typeof collectorVariables>;

const DESTINATIONS = [
  ["COLLECTOR_S3_BUCKET", "collectorS3Bucket"],
  ["COLLECTOR_GCS_BUCKET", "collectorGcsBucket"],
  ["COLLECTOR_AZURE_CONTAINER", "collectorAzureContainer"],
  ["COLLECTOR_DIR", "collectorDir"],
] as const;

export function collectorProblems(settings: Settings): readonly string[] {
  const chosen = DESTINATIONS.filter(([, key]) => settings[key] !== undefined);
  const { collectorAzureContainer, collectorAzureUrl, collectorAzureConnectionString } = settings;
  const accounts = [collectorAzureUrl, collectorAzureConnectionString].filter(
    (account) => account !== undefined,
  ).length;
  return [
    ...(chosen.length > 1
      ? [`${chosen.map(([name]) => name).join(", ")}: set one of them, diagnostics go to one place`]
      : []),
    ...(collectorAzureContainer !== undefined && accounts !== 1
      ? ["COLLECTOR_AZURE_URL, COLLECTOR_AZURE_CONNECTION_STRING: set one of them"]
      : []),
    ...(/^[\w.=-]+(\/[\w.=-]+)*$/.test(settings.collectorPrefix)
      ? []
      : [
          `COLLECTOR_PREFIX: must be names of letters, digits, "_", ".", "=" and "-" with slashes between them, got ${JSON.stringify(settings.collectorPrefix.slice(0, 80))}`,
        ]),
  ];
}

/** Who may not do anything, and has nowhere to put what he finds, does not ask the cluster. */
export function collects(settings: Settings & { readonly enabled: boolean }): boolean {
  return settings.enabled || DESTINATIONS.some(([, key]) => settings[key] !== undefined);
}

/** Undefined when the database is to keep them. */
export function storeOptions(
  settings: Settings,
  clock: Pick<Clock, "now">,
): StoreOptions | undefined {
  const { collectorS3Bucket, collectorGcsBucket, collectorAzureContainer } = settings;
  const common = { prefix: settings.collectorPrefix, clock };
  if (settings.collectorDir !== undefined) return { kind: "folder", path: settings.collectorDir };
  if (collectorS3Bucket !== undefined)
    return {
      kind: "s3",
      bucket: collectorS3Bucket,
      region: settings.collectorS3Region,
      endpoint: settings.collectorS3Endpoint,
      pathStyle: settings.collectorS3PathStyle ?? settings.collectorS3Endpoint !== undefined,
      ...common,
    };
  if (collectorGcsBucket !== undefined)
    return {
      kind: "gcs",
      bucket: collectorGcsBucket,
      endpoint: settings.collectorGcsEndpoint,
      ...common,
    };
  if (collectorAzureContainer === undefined) return undefined;
  return {
    kind: "azure",
    container: collectorAzureContainer,
    accountUrl: settings.collectorAzureUrl,
    connectionString: settings.collectorAzureConnectionString,
    ...common,
  };
}
