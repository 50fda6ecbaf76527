import { openStore } from "../../lib/adapters/storage/open.ts";
import { systemClock } from "../../lib/clock.ts";
import type { StoreOptions } from "../../lib/storage.ts";
import type { ExporterConfig } from "../config.ts";
import type { Destination } from "../types.ts";
import { blobDestination } from "./blob-destination.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** The buckets that the configuration names. Nobody is asked yet. */
export function openBuckets(config: ExporterConfig): readonly Destination[] {
  const destinations: Destination[] = [];
  const add = (options: StoreOptions, lockDays: number | undefined) => {
    const lockedUntil = () =>
      lockDays === undefined
        ? undefined
        : new Date(systemClock.now().getTime() + lockDays * DAY_MS);
    destinations.push(
      blobDestination({
        name: options.kind,
        store: openStore(options),
        lockedUntil,
        lockSetting: `AUDIT_${options.kind.toUpperCase()}_LOCK_DAYS`,
      }),
    );
  };
  const clock = systemClock;
  const { s3Bucket, gcsBucket, azureBucket } = config;
  if (s3Bucket !== undefined) {
    const { s3Region: region, s3Endpoint: endpoint, s3Prefix: prefix } = config;
    const pathStyle = config.s3PathStyle ?? endpoint !== undefined;
    const options = { bucket: s3Bucket, region, endpoint, prefix, pathStyle, clock };
    const locks = config.s3LockDays !== undefined;
    add({ kind: "s3", ...options, locks }, config.s3LockDays);
  }
  if (gcsBucket !== undefined) {
    const { gcsPrefix: prefix, gcsEndpoint: endpoint } = config;
    add({ kind: "gcs", bucket: gcsBucket, prefix, endpoint, clock }, config.gcsLockDays);
  }
  if (azureBucket !== undefined) {
    const { azurePrefix: prefix, azureUrl: accountUrl } = config;
    const { azureConnectionString: connectionString } = config;
    const options = { container: azureBucket, prefix, accountUrl, connectionString, clock };
    add({ kind: "azure", ...options }, config.azureLockDays);
  }
  return destinations;
}
