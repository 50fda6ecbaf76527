import { readFile } from "node:fs/promises";
import { openStore } from "../../lib/adapters/storage/open.ts";
import { systemClock } from "../../lib/clock.ts";
import type { StoreOptions } from "../../lib/storage.ts";
import type { DropboxOptions, GoogleDriveOptions } from "../../lib/storage-drives.ts";
import type { ExporterConfig } from "../config.ts";
import type { Destination } from "../types.ts";
import { blobDestination } from "./blob-destination.ts";

/** The drives that the configuration names. Nobody is asked yet. */
export async function openDrives(config: ExporterConfig): Promise<readonly Destination[]> {
  const { gdriveFolderId: folderId, dropboxFolder: folder } = config;
  const clock = systemClock;
  const options: StoreOptions[] = [];
  if (folderId !== undefined) {
    const { gdriveSubject: subject, gdriveEndpoint: endpoint } = config;
    const credentials = googleCredentials(config);
    options.push({ kind: "gdrive", folderId, credentials, subject, endpoint, clock });
  }
  if (folder !== undefined) {
    const credentials = dropboxCredentials(config);
    const { dropboxEndpoint: endpoint } = config;
    options.push({ kind: "dropbox", folder, credentials, endpoint, clock });
  }
  return [...options, ...(await graphDrives(config))].map((each) =>
    blobDestination({ name: each.kind, store: openStore(each), lockedUntil: () => undefined }),
  );
}

function googleCredentials(config: ExporterConfig): GoogleDriveOptions["credentials"] {
  const { gdriveCredentials: text, gdriveClientId: clientId } = config;
  const { gdriveClientSecret: clientSecret, gdriveRefreshToken: refreshToken } = config;
  if (text !== undefined) return { kind: "json", text };
  return clientId === undefined || clientSecret === undefined || refreshToken === undefined
    ? undefined
    : { kind: "refresh", clientId, clientSecret, refreshToken };
}

function dropboxCredentials(config: ExporterConfig): DropboxOptions["credentials"] {
  const { dropboxAppKey: appKey, dropboxAppSecret: appSecret } = config;
  const { dropboxRefreshToken: refreshToken, dropboxAccessToken: accessToken } = config;
  if (accessToken !== undefined) return { kind: "access", accessToken };
  if (refreshToken === undefined || appKey === undefined)
    throw new Error("the configuration names no token of Dropbox");
  return { kind: "refresh", appKey, appSecret, refreshToken };
}

/** OneDrive and SharePoint are one interface, asked in the name of one application. */
async function graphDrives(config: ExporterConfig): Promise<StoreOptions[]> {
  const { msTenantId: tenantId, msClientId: clientId, msClientSecret: clientSecret } = config;
  if (tenantId === undefined || clientId === undefined || clientSecret === undefined) return [];
  const { msGraphUrl: graphUrl, msAuthorityHost: authorityHost, msCaFile } = config;
  const standInCa = msCaFile === undefined ? undefined : await readFile(msCaFile, "utf8");
  const application = { tenantId, clientId, clientSecret, graphUrl, authorityHost, standInCa };
  const { onedriveUser: user, onedriveDriveId, sharepointSite: site, sharepointDriveId } = config;
  const place = (owner: string | undefined, address: string, driveId: string | undefined) => {
    const label = owner ?? driveId;
    if (label === undefined) return [];
    return [{ label, drive: driveId === undefined ? address : `/drives/${driveId}` }];
  };
  const clock = systemClock;
  const onedrive = place(user, `/users/${user ?? ""}/drive`, onedriveDriveId);
  const siteAddress = site?.includes(":/") === true ? `${site}:` : (site ?? "");
  const sharepoint = place(site, `/sites/${siteAddress}/drive`, sharepointDriveId);
  return [
    ...onedrive.map((at) => ({
      ...{ kind: "onedrive" as const, ...application, ...at, clock },
      folder: config.onedriveFolder,
    })),
    ...sharepoint.map((at) => ({
      ...{ kind: "sharepoint" as const, ...application, ...at, clock },
      folder: config.sharepointFolder,
    })),
  ];
}
