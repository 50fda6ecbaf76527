import type { Clock } from "./clock.ts";
import type { Secret } from "./secret.ts";

/** A folder of Google Drive, or of a shared drive. */
export interface GoogleDriveOptions {
  readonly folderId: string;
  /** A service account's key, or a person's refresh token; Google's own default chain when undefined. */
  readonly credentials:
    | { readonly kind: "json"; readonly text: Secret }
    | {
        readonly kind: "refresh";
        readonly clientId: string;
        readonly clientSecret: Secret;
        readonly refreshToken: Secret;
      }
    | undefined;
  /** The person for whom a service account acts (domain-wide delegation). */
  readonly subject: string | undefined;
  /** Of a stand-in, which gives tokens as well; Google when undefined. */
  readonly endpoint: string | undefined;
  readonly clock: Clock;
}

/** A folder of Dropbox. */
export interface DropboxOptions {
  /** `/audit/shop`; empty: the root, of an app with a folder of its own that folder. */
  readonly folder: string;
  /** A refresh token lasts; an access token alone ends within hours. */
  readonly credentials:
    | {
        readonly kind: "refresh";
        readonly appKey: string;
        /** Apps that log in by PKCE have none. */
        readonly appSecret: Secret | undefined;
        readonly refreshToken: Secret;
      }
    | { readonly kind: "access"; readonly accessToken: Secret };
  /** Of a stand-in, which gives tokens as well; Dropbox when undefined. */
  readonly endpoint: string | undefined;
  readonly clock: Clock;
}

/** A folder of OneDrive or of a SharePoint library, by Microsoft Graph. */
export interface GraphOptions {
  /** As in addresses for people: `onedrive://<label>/…`. */
  readonly label: string;
  /** Where Graph has the drive: `/users/<user>/drive`, `/sites/<site>/drive`, `/drives/<id>`. */
  readonly drive: string;
  /** Without slashes at its ends; empty: the drive's root. */
  readonly folder: string;
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  /** `https://graph.microsoft.com`, or that of a national cloud. */
  readonly graphUrl: string;
  /** `https://login.microsoftonline.com`, or that of a national cloud. */
  readonly authorityHost: string | undefined;
  /** PEM of the authority that signed the certificate of a stand-in on this machine. */
  readonly standInCa: string | undefined;
  readonly clock: Clock;
}
