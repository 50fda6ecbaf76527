import {
  integer,
  optional,
  secret,
  text,
  url,
  withDefault,
  type Config,
  type Kind,
} from "../lib/config.ts";
import { isLoopbackHost } from "../lib/loopback.ts";

const days = integer({ min: 1, max: 36_500 });
const RETENTION = "fettle retain takes away what is older there; nothing when unset";
const STAND_IN = "a stand-in on this machine, which gives tokens as well";

/** What none of the services takes in a folder's name, and what would lead elsewhere. */
const FOLDER = /^[^"*:<>?\\|/\p{Cc}]+(\/[^"*:<>?\\|/\p{Cc}]+)*$/u;
const folder: Kind<string> = text.refine(
  (value) => FOLDER.test(value) && !value.split("/").some((part) => /^\.+$/.test(part)),
  { error: "must be folder names with slashes between them" },
);
const dropboxFolder: Kind<string> = text
  .refine((value) => value === "/" || (value.startsWith("/") && FOLDER.test(value.slice(1))), {
    error: "must be a path like /audit, or / alone",
  })
  .transform((value) => (value === "/" ? "" : value));
const word = (pattern: RegExp, error: string): Kind<string> =>
  text.refine((value) => pattern.test(value), { error });
const id = word(/^[\w!.-]+$/, "must be an id of letters, digits and -_.!");

/** Drives of people and teams. */
export const drivesShape = {
  gdriveFolderId: optional("GDRIVE_FOLDER_ID", id, "folder of Google Drive that gets the files"),
  gdriveCredentials: optional(
    "GDRIVE_CREDENTIALS",
    secret,
    "JSON key of a service account; without it and the next three, Google's default chain",
  ),
  gdriveClientId: optional("GDRIVE_CLIENT_ID", text, "OAuth client of a person's refresh token"),
  gdriveClientSecret: optional("GDRIVE_CLIENT_SECRET", secret, "its secret"),
  gdriveRefreshToken: optional("GDRIVE_REFRESH_TOKEN", secret, "the refresh token"),
  gdriveSubject: optional(
    "GDRIVE_SUBJECT",
    text,
    "person for whom the service account acts (domain-wide delegation)",
  ),
  gdriveRetentionDays: optional("GDRIVE_RETENTION_DAYS", days, RETENTION),
  gdriveEndpoint: optional("GDRIVE_ENDPOINT", url, STAND_IN),
  dropboxFolder: optional(
    "DROPBOX_FOLDER",
    dropboxFolder,
    "folder of Dropbox that gets the files, like /audit; / is the app's own folder",
  ),
  dropboxAppKey: optional("DROPBOX_APP_KEY", text, "app that the refresh token is for"),
  dropboxAppSecret: optional("DROPBOX_APP_SECRET", secret, "its secret; none with PKCE"),
  dropboxRefreshToken: optional("DROPBOX_REFRESH_TOKEN", secret, "the refresh token"),
  dropboxAccessToken: optional(
    "DROPBOX_ACCESS_TOKEN",
    secret,
    "a token that ends within hours, in place of the refresh token; for trying out",
  ),
  dropboxRetentionDays: optional("DROPBOX_RETENTION_DAYS", days, RETENTION),
  dropboxEndpoint: optional("DROPBOX_ENDPOINT", url, STAND_IN),
  msTenantId: optional("MS_TENANT_ID", id, "tenant of the application that writes to OneDrive"),
  msClientId: optional("MS_CLIENT_ID", id, "the application, for OneDrive and SharePoint"),
  msClientSecret: optional("MS_CLIENT_SECRET", secret, "its secret"),
  msGraphUrl: withDefault(
    "MS_GRAPH_URL",
    url,
    "https://graph.microsoft.com",
    "Microsoft Graph, or that of a national cloud",
  ),
  msAuthorityHost: optional(
    "MS_AUTHORITY_HOST",
    url,
    "its login server; https://login.microsoftonline.com when unset",
  ),
  msCaFile: optional(
    "MS_CA_FILE",
    text,
    "certificate authority of a stand-in of the login server on this machine",
  ),
  onedriveUser: optional(
    "ONEDRIVE_USER",
    word(/^[\w.@'+-]+$/, "must be a user's id or sign-in name"),
    "user whose OneDrive gets the files",
  ),
  onedriveDriveId: optional("ONEDRIVE_DRIVE_ID", id, "a drive by its id, in place of the user"),
  onedriveFolder: withDefault("ONEDRIVE_FOLDER", folder, "", "folder in it; its root when unset"),
  onedriveRetentionDays: optional("ONEDRIVE_RETENTION_DAYS", days, RETENTION),
  sharepointSite: optional(
    "SHAREPOINT_SITE",
    word(
      /^[\w-]+(\.[\w-]+)+(:(\/[\w.-]+)+|(,[\w-]+){2})$/,
      "must be host:/sites/name, or a site's id",
    ),
    "site whose document library gets the files: contoso.sharepoint.com:/sites/audit",
  ),
  sharepointDriveId: optional("SHAREPOINT_DRIVE_ID", id, "a library by its id, in place of it"),
  sharepointFolder: withDefault("SHAREPOINT_FOLDER", folder, "", "folder in the library"),
  sharepointRetentionDays: optional("SHAREPOINT_RETENTION_DAYS", days, RETENTION),
} as const;

type DrivesConfig = Config<typeof drivesShape>;

/** What does not fit together. */
export function driveProblems(config: DrivesConfig): string[] {
  return [
    ...googleProblems(config),
    ...dropboxProblems(config),
    ...microsoftProblems(config),
    ...endpointProblems(config),
  ];
}

function googleProblems(config: DrivesConfig): string[] {
  const { gdriveFolderId, gdriveCredentials, gdriveSubject } = config;
  if (gdriveFolderId === undefined) return [];
  const person = [config.gdriveClientId, config.gdriveClientSecret, config.gdriveRefreshToken];
  const given = person.filter((value) => value !== undefined).length;
  const problems: string[] = [];
  if (given !== 0 && given !== person.length)
    problems.push(
      "GDRIVE_CLIENT_ID, GDRIVE_CLIENT_SECRET, GDRIVE_REFRESH_TOKEN: set all three, or none",
    );
  if (given > 0 && gdriveCredentials !== undefined)
    problems.push("GDRIVE_CREDENTIALS, GDRIVE_REFRESH_TOKEN: set one of them");
  if (given > 0 && gdriveSubject !== undefined)
    problems.push("GDRIVE_SUBJECT: is for a service account; the refresh token is a person's");
  return problems;
}

function dropboxProblems(config: DrivesConfig): string[] {
  const { dropboxFolder: at, dropboxAppKey, dropboxRefreshToken, dropboxAccessToken } = config;
  if (at === undefined) return [];
  const tokens = [dropboxRefreshToken, dropboxAccessToken].filter((token) => token !== undefined);
  if (tokens.length !== 1)
    return ["DROPBOX_REFRESH_TOKEN, DROPBOX_ACCESS_TOKEN: set one of them for DROPBOX_FOLDER"];
  return dropboxRefreshToken !== undefined && dropboxAppKey === undefined
    ? ["DROPBOX_APP_KEY: is required by DROPBOX_REFRESH_TOKEN"]
    : [];
}

function microsoftProblems(config: DrivesConfig): string[] {
  const problems: string[] = [];
  const { onedriveUser, onedriveDriveId, sharepointSite, sharepointDriveId } = config;
  if (onedriveUser !== undefined && onedriveDriveId !== undefined)
    problems.push("ONEDRIVE_USER, ONEDRIVE_DRIVE_ID: set one of them");
  if (sharepointSite !== undefined && sharepointDriveId !== undefined)
    problems.push("SHAREPOINT_SITE, SHAREPOINT_DRIVE_ID: set one of them");
  const used = namedDrives(config).filter((name) => /^(ONEDRIVE|SHAREPOINT)/.test(name));
  const { msTenantId, msClientId, msClientSecret } = config;
  const missing = Object.entries({
    MS_TENANT_ID: msTenantId,
    MS_CLIENT_ID: msClientId,
    MS_CLIENT_SECRET: msClientSecret,
  }).filter(([, value]) => value === undefined);
  for (const [name] of used.length > 0 ? missing : [])
    problems.push(`${name}: is required by ${used[0] ?? ""}`);
  return problems;
}

/** Secrets and tokens go there. */
function endpointProblems(config: DrivesConfig): string[] {
  const problems: string[] = [];
  const { gdriveEndpoint, dropboxEndpoint, msGraphUrl, msAuthorityHost, msCaFile } = config;
  for (const [name, address] of [
    ["GDRIVE_ENDPOINT", gdriveEndpoint],
    ["DROPBOX_ENDPOINT", dropboxEndpoint],
  ] as const)
    if (address !== undefined && !isHere(address))
      problems.push(`${name}: must be on this machine: it gets the credentials`);
  if (!isHere(msGraphUrl) && msGraphUrl.startsWith("http://"))
    problems.push("MS_GRAPH_URL: must be an https:// address");
  if (msAuthorityHost?.startsWith("http://") === true)
    problems.push("MS_AUTHORITY_HOST: must be an https:// address");
  if (msCaFile !== undefined && (msAuthorityHost === undefined || !isHere(msAuthorityHost)))
    problems.push("MS_CA_FILE: is for a MS_AUTHORITY_HOST on this machine only");
  return problems;
}

function isHere(address: string): boolean {
  return isLoopbackHost(new URL(address).hostname);
}

/** The variables of the drives that are configured. */
export function namedDrives(config: DrivesConfig): string[] {
  const named = [
    ["GDRIVE_FOLDER_ID", config.gdriveFolderId],
    ["DROPBOX_FOLDER", config.dropboxFolder],
    ["ONEDRIVE_USER", config.onedriveUser],
    ["ONEDRIVE_DRIVE_ID", config.onedriveDriveId],
    ["SHAREPOINT_SITE", config.sharepointSite],
    ["SHAREPOINT_DRIVE_ID", config.sharepointDriveId],
  ] as const;
  return named.flatMap(([name, value]) => (value === undefined ? [] : [name]));
}

/** Of those, the ones that are not on this machine. */
export function distantDrives(config: DrivesConfig): string[] {
  const { gdriveEndpoint, dropboxEndpoint, msGraphUrl } = config;
  const addresses: Readonly<Record<string, string | undefined>> = {
    GDRIVE_FOLDER_ID: gdriveEndpoint,
    DROPBOX_FOLDER: dropboxEndpoint,
  };
  return namedDrives(config).filter((name) => {
    const address = /^(ONEDRIVE|SHAREPOINT)/.test(name) ? msGraphUrl : addresses[name];
    return address === undefined || !isHere(address);
  });
}
