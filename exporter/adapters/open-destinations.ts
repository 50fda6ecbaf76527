import { readFile } from "node:fs/promises";
import type { ExporterConfig } from "../config.ts";
import type { Destination } from "../types.ts";
import { folderDestination } from "./folder.ts";
import { openBuckets } from "./open-buckets.ts";
import { openDrives } from "./open-drives.ts";
import { sftpDestination } from "./sftp.ts";

/** The places that the configuration names. */
export async function openDestinations(config: ExporterConfig): Promise<readonly Destination[]> {
  const destinations: Destination[] = [];
  if (config.exportDir !== undefined) destinations.push(folderDestination(config.exportDir));
  if (config.sftpHost !== undefined) {
    destinations.push(
      sftpDestination({
        host: config.sftpHost,
        port: config.sftpPort,
        username: config.sftpUsername ?? "",
        password: config.sftpPassword,
        privateKey: config.sftpPrivateKey,
        passphrase: config.sftpPassphrase,
        remoteDir: config.sftpRemoteDir,
        verify: config.sftpVerify,
        hostKeys: {
          fingerprints: config.sftpHostKeySha256,
          knownHosts: await knownHostsOf(config.sftpKnownHosts),
        },
      }),
    );
  }
  return [...destinations, ...openBuckets(config), ...(await openDrives(config))];
}

/** The variable holds the lines themselves, or a path; only lines name a key type. */
async function knownHostsOf(value: string | undefined): Promise<string | undefined> {
  if (value === undefined || /\s(ssh-|ecdsa-|sk-)/.test(value))
    return value?.replaceAll("\\n", "\n");
  return readFile(value, "utf8");
}
