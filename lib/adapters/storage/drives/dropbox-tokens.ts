import { z } from "zod";
import type { DropboxOptions } from "../../../storage-drives.ts";
import { ServiceFailure } from "../vendor-error.ts";
import { answerOf, formed } from "./answer.ts";
import { createSender, type Tokens } from "./request.ts";

const tokenForm = z.object({ access_token: z.string().min(1), expires_in: z.number().positive() });
const failureForm = z.object({
  error: z.string().default(""),
  error_description: z.string().default(""),
});
/** A token is not used to its last second: a chunk takes a while. */
const MARGIN_MS = 5 * 60 * 1000;

type Credentials = DropboxOptions["credentials"];

/** Dropbox' access tokens last four hours; the refresh token gets the next one. */
export function dropboxTokens(options: DropboxOptions): Tokens {
  const { credentials } = options;
  return credentials.kind === "access" ? fixed(credentials) : refreshing(credentials, options);
}

function fixed({ accessToken }: Extract<Credentials, { kind: "access" }>): Tokens {
  return {
    secrets: [accessToken],
    get: async (_signal, isRefused) => {
      if (!isRefused) return Promise.resolve(accessToken.reveal());
      throw new ServiceFailure(
        "refused",
        "Dropbox says 401: the access token is over; a refresh token lasts",
        { status: 401 },
      );
    },
  };
}

function refreshing(
  { appKey, appSecret, refreshToken }: Extract<Credentials, { kind: "refresh" }>,
  { endpoint = "https://api.dropboxapi.com", clock }: DropboxOptions,
): Tokens {
  const secrets = [refreshToken, ...(appSecret === undefined ? [] : [appSecret])];
  const send = createSender({
    service: "Dropbox",
    tokens: { get: async () => Promise.resolve(""), secrets },
    explain: (_status, body) => {
      const { error = "", error_description: text = "" } = formed(body, failureForm) ?? {};
      return { code: error, text };
    },
    clock,
  });
  let held = { token: "", untilMs: 0 };
  return {
    secrets,
    get: async (signal, isRefused) => {
      if (!isRefused && clock.now().getTime() < held.untilMs) return held.token;
      const response = await send(`${endpoint}/oauth2/token`, {
        method: "POST",
        signal,
        isAuthorized: false,
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({
          grant_type: "refresh_token",
          refresh_token: refreshToken.reveal(),
          client_id: appKey,
          ...(appSecret === undefined ? {} : { client_secret: appSecret.reveal() }),
        }).toString(),
      });
      const { access_token: token, expires_in: seconds } = await answerOf(response, tokenForm);
      const lastsMs = Math.max(seconds * 1000 - MARGIN_MS, seconds * 500);
      held = { token, untilMs: clock.now().getTime() + lastsMs };
      return token;
    },
  };
}
