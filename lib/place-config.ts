import type { Clock } from "./clock.ts";
import { flag, optional, secret, text, url, withDefault, type Config } from "./config.ts";
import type { StoreOptions } from "./storage.ts";

/** What the variables of a place are called, and what for. */
interface PlaceNames {
  /** `COLLECTOR`: the variables are `COLLECTOR_DIR`, `COLLECTOR_S3_BUCKET`, … */
  readonly name: string;
  /** As in "bucket of S3 for …". */
  readonly what: string;
  /** What happens without a place. */
  readonly otherwise: string;
}

/**
 * One place for files: a folder, or a bucket of a cloud. A cloud's credentials come from its default chain unless something is
 * said here.
 */
export function placeVariables({ name, what, otherwise }: PlaceNames) {
  return {
    placeS3Bucket: optional(
      `${name}_S3_BUCKET`,
      text,
      `bucket of S3 (or MinIO, Ceph, …) for ${what}`,
    ),
    placeS3Region: optional(`${name}_S3_REGION`, text, "its region; AWS_REGION when unset"),
    placeS3Endpoint: optional(
      `${name}_S3_ENDPOINT`,
      url,
      "address of an S3 server other than Amazon's",
    ),
    placeS3PathStyle: optional(
      `${name}_S3_PATH_STYLE`,
      flag,
      `endpoint/bucket in place of bucket.endpoint; on where ${name}_S3_ENDPOINT is set`,
    ),
    placeGcsBucket: optional(
      `${name}_GCS_BUCKET`,
      text,
      `bucket of Google Cloud Storage for ${what}`,
    ),
    placeGcsEndpoint: optional(
      `${name}_GCS_ENDPOINT`,
      url,
      "an emulator of Google Cloud Storage, asked without credentials; only for tests",
    ),
    placeAzureContainer: optional(
      `${name}_AZURE_CONTAINER`,
      text,
      `container of Azure Blob Storage for ${what}`,
    ),
    placeAzureUrl: optional(
      `${name}_AZURE_URL`,
      url,
      "its account, https://<account>.blob.core.windows.net, reached by the default Azure credentials",
    ),
    placeAzureConnectionString: optional(
      `${name}_AZURE_CONNECTION_STRING`,
      secret,
      `the account with its key, in place of ${name}_AZURE_URL`,
    ),
    placeDir: optional(
      `${name}_DIR`,
      text,
      `folder for ${what}; without any of these ${otherwise}`,
    ),
    placePrefix: withDefault(
      `${name}_PREFIX`,
      text,
      "fettle",
      "what the names in a bucket or container begin with",
    ),
  } as const;
}

type Place = Config<ReturnType<typeof placeVariables>>;

const DESTINATIONS = [
  ["S3_BUCKET", "placeS3Bucket"],
  ["GCS_BUCKET", "placeGcsBucket"],
  ["AZURE_CONTAINER", "placeAzureContainer"],
  ["DIR", "placeDir"],
] as const;

/** The variables that name a place, for whoever has to set one of them. */
export function placesOf({ name }: Pick<PlaceNames, "name">): readonly string[] {
  return DESTINATIONS.map(([which]) => `${name}_${which}`);
}

export function hasPlace(settings: Place): boolean {
  return DESTINATIONS.some(([, key]) => settings[key] !== undefined);
}

/** What does not fit together. @param things as in "… go to one place" */
export function placeProblems(
  { name }: Pick<PlaceNames, "name">,
  settings: Place,
  things: string,
): readonly string[] {
  const chosen = DESTINATIONS.filter(([, key]) => settings[key] !== undefined);
  const { placeAzureContainer, placeAzureUrl, placeAzureConnectionString } = settings;
  const accounts = [placeAzureUrl, placeAzureConnectionString].filter(
    (account) => account !== undefined,
  ).length;
  return [
    ...(chosen.length > 1
      ? [
          `${chosen.map(([which]) => `${name}_${which}`).join(", ")}: set one of them, ${things} go to one place`,
        ]
      : []),
    ...(placeAzureContainer !== undefined && accounts !== 1
      ? [`${name}_AZURE_URL, ${name}_AZURE_CONNECTION_STRING: set one of them`]
      : []),
    ...(/^[\w.=-]+(\/[\w.=-]+)*$/.test(settings.placePrefix)
      ? []
      : [
          `${name}_PREFIX: must be names of letters, digits, "_", ".", "=" and "-" with slashes between them, got ${JSON.stringify(settings.placePrefix.slice(0, 80))}`,
        ]),
  ];
}

/** Undefined when no place is set. */
export function placeOptions(settings: Place, clock: Pick<Clock, "now">): StoreOptions | undefined {
  const { placeS3Bucket, placeGcsBucket, placeAzureContainer } = settings;
  const common = { prefix: settings.placePrefix, clock };
  if (settings.placeDir !== undefined) return { kind: "folder", path: settings.placeDir };
  if (placeS3Bucket !== undefined)
    return {
      kind: "s3",
      bucket: placeS3Bucket,
      region: settings.placeS3Region,
      endpoint: settings.placeS3Endpoint,
      pathStyle: settings.placeS3PathStyle ?? settings.placeS3Endpoint !== undefined,
      ...common,
    };
  if (placeGcsBucket !== undefined)
    return {
      kind: "gcs",
      bucket: placeGcsBucket,
      endpoint: settings.placeGcsEndpoint,
      ...common,
    };
  if (placeAzureContainer === undefined) return undefined;
  return {
    kind: "azure",
    container: placeAzureContainer,
    accountUrl: settings.placeAzureUrl,
    connectionString: settings.placeAzureConnectionString,
    ...common,
  };
}
