import { optional, secret, type Config } from "../../lib/config.ts";
import { tooShort } from "./too-short.ts";

/** It is compared, not used as a key for others; shorter ones can be guessed. */
const API_TOKEN_MIN_LENGTH = 16;

export const pageVariables = {
  apiToken: optional(
    "RUNBOOKS_API_TOKEN",
    secret,
    "token that lets people see the pages; without it only this machine may, on a loopback address",
  ),
} as const;

export function pageProblems({ apiToken }: Config<typeof pageVariables>): readonly string[] {
  return tooShort("RUNBOOKS_API_TOKEN", apiToken, API_TOKEN_MIN_LENGTH);
}
