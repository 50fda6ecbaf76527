import { openWrappers } from "../../lib/adapters/kms/open.ts";
import { openStore } from "../../lib/adapters/storage/open.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Config } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { placeOptions, placesOf } from "../../lib/place-config.ts";
import { EXPORT_PLACE, type exportVariables } from "../config-export.ts";
import type { KeyName, Vault } from "../snapshots-export/types.ts";

const MEGABYTE = 1_000_000;

/** The place and the keys that are configured. Nobody is asked yet. */
export function openVault(config: Config<typeof exportVariables>, log: Log): Vault {
  const options = placeOptions(config, systemClock);
  const keys: Readonly<Record<KeyName, string | undefined>> = {
    local: config.localKeyFile,
    aws_kms: config.awsKmsKeyId,
    gcp_kms: config.gcpKmsKey,
    azure_kv: config.azureKeyId,
  };
  const configured = (Object.keys(keys) as KeyName[]).filter((name) => keys[name] !== undefined);
  return {
    store: options && openStore(options),
    placeVariables: placesOf(EXPORT_PLACE),
    keys: new Set(configured),
    openKeys: async () => openWrappers(config),
    quorum: config.kmsQuorum,
    selftest: config.kmsSelftest,
    partBytes: config.exportPartMegabytes * MEGABYTE,
    log,
  };
}
