import type { TokenCredential } from "@azure/identity";
import { messageOf } from "../../../error.ts";
import type { GraphOptions } from "../../../storage-drives.ts";
import { ServiceFailure, statusOf } from "../vendor-error.ts";
import type { Tokens } from "./request.ts";

const TIMEOUT_MS = 20_000;
const RETRIES = 1;

/** MSAL, in Azure's identity library, gets the tokens of an application (client credentials). */
export function graphTokens(options: GraphOptions): Tokens {
  let credential: Promise<TokenCredential> | undefined;
  return {
    secrets: [options.clientSecret],
    get: async (signal, isRefused) => {
      if (isRefused) credential = undefined; // MSAL keeps a token until its time is over
      try {
        credential ??= connect(options);
        const token = await (
          await credential
        ).getToken(`${options.graphUrl}/.default`, {
          abortSignal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
        });
        if (token !== null) return token.token;
      } catch (error) {
        credential = undefined;
        throw failureOf(error);
      }
      throw new ServiceFailure("refused", "Microsoft gave no access token");
    },
  };
}

async function connect(options: GraphOptions): Promise<TokenCredential> {
  const { ClientSecretCredential } = await import("@azure/identity");
  const { tenantId, clientId, clientSecret, authorityHost, standInCa } = options;
  return new ClientSecretCredential(tenantId, clientId, clientSecret.reveal(), {
    retryOptions: { maxRetries: RETRIES },
    ...(authorityHost === undefined ? {} : { authorityHost }),
    // Otherwise a login server that Microsoft does not know is asked about at Microsoft's.
    ...(standInCa === undefined
      ? {}
      : { disableInstanceDiscovery: true, tlsOptions: { ca: standInCa } }),
  });
}

/** AADSTS codes say what is wrong; the rest of the message is a page long. */
function failureOf(error: unknown): ServiceFailure {
  const status = statusOf(error);
  const [line = ""] = messageOf(error).split("\n", 1);
  const refused = /AADSTS|invalid_client|unauthorized_client/.test(messageOf(error));
  const words = [status, line].filter((word) => word !== undefined && word !== "");
  return new ServiceFailure(
    refused && status !== 429 ? "refused" : "unavailable",
    `no access token from Microsoft: ${words.join(" ")}`,
  );
}
