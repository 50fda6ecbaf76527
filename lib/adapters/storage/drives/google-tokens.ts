import type { AuthClient } from "google-auth-library";
import { z } from "zod";
import { messageOf } from "../../../error.ts";
import type { GoogleDriveOptions } from "../../../storage-drives.ts";
import { within } from "../frame.ts";
import { ServiceFailure, statusOf } from "../vendor-error.ts";
import { formed } from "./answer.ts";
import type { Tokens } from "./request.ts";

const SCOPE = "https://www.googleapis.com/auth/drive";
const TIMEOUT_MS = 20_000;

/** Google's own library gets the tokens: by a signed assertion of a service account, or by a refresh token. */
export function googleTokens(options: GoogleDriveOptions): Tokens {
  let client: Promise<AuthClient> | undefined;
  return {
    secrets: secretsIn(options),
    get: async (signal, isRefused) => {
      if (isRefused) client = undefined; // the library keeps a token until its time is over
      try {
        client ??= connect(options);
        const { token } = await within(
          signal,
          client.then(async (it) => it.getAccessToken()),
        );
        if (typeof token === "string") return token;
      } catch (error) {
        client = undefined;
        throw described(error);
      }
      throw new ServiceFailure("refused", "Google gave no access token");
    },
  };
}

function secretsIn({ credentials }: GoogleDriveOptions): Tokens["secrets"] {
  if (credentials === undefined) return [];
  return credentials.kind === "json"
    ? [credentials.text]
    : [credentials.clientSecret, credentials.refreshToken];
}

const keyForm = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("service_account"),
    client_email: z.string().min(1),
    private_key: z.string().min(1),
    private_key_id: z.string().optional(),
  }),
  z.object({
    type: z.literal("authorized_user"),
    client_id: z.string().min(1),
    client_secret: z.string().min(1),
    refresh_token: z.string().min(1),
  }),
]);

async function connect(options: GoogleDriveOptions): Promise<AuthClient> {
  const { GoogleAuth, JWT, UserRefreshClient } = await import("google-auth-library");
  const { credentials, subject } = options;
  const scopes = [SCOPE];
  const ours = { transporterOptions: { timeout: TIMEOUT_MS, ...toStandIn(options) } };
  const behalf = subject === undefined ? {} : { subject };
  if (credentials === undefined)
    return new GoogleAuth({ scopes, clientOptions: { ...ours, ...behalf } }).getClient();
  const key = keyOf(credentials);
  if (key.type === "authorized_user") {
    const { client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken } = key;
    return new UserRefreshClient({ ...ours, clientId, clientSecret, refreshToken });
  }
  const { client_email: email, private_key, private_key_id: keyId } = key;
  const named = keyId === undefined ? {} : { keyId };
  return new JWT({ ...ours, ...behalf, ...named, email, key: private_key, scopes });
}

/** The other kinds of credentials name addresses that are asked: those come by Google's default chain only. */
function keyOf(credentials: NonNullable<GoogleDriveOptions["credentials"]>) {
  if (credentials.kind === "refresh")
    return {
      type: "authorized_user" as const,
      client_id: credentials.clientId,
      client_secret: credentials.clientSecret.reveal(),
      refresh_token: credentials.refreshToken.reveal(),
    };
  const key = formed(credentials.text.reveal(), keyForm);
  if (key !== undefined) return key;
  throw new ServiceFailure(
    "refused",
    "the credentials are neither a service account's key nor a person's (authorized_user), as JSON",
  );
}

/** The library has the address of Google's tokens built in. */
function toStandIn({ endpoint }: GoogleDriveOptions) {
  if (endpoint === undefined) return {};
  const fetchImplementation: typeof fetch = async (address, init) => {
    const { pathname } = new URL(address instanceof Request ? address.url : address);
    return fetch(`${endpoint}${pathname}`, init);
  };
  return { fetchImplementation };
}

/** Only its words: the library's errors carry the whole request. */
function described(error: unknown): ServiceFailure {
  if (error instanceof ServiceFailure) return error;
  const status = statusOf(error);
  const refused = status !== undefined && status >= 400 && status < 500 && status !== 429;
  const words = [status, messageOf(error)].filter((word) => word !== undefined);
  return new ServiceFailure(
    refused ? "refused" : "unavailable",
    `no access token from Google: ${words.join(" ")}`,
  );
}
