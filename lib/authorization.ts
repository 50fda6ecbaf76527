import type { Credentials } from "./access.ts";

/** The header that says who asks; none without a token or a user. */
export function authorizationOf({
  token,
  basic,
}: Pick<Credentials, "token" | "basic">): Readonly<Record<string, string>> {
  if (token !== undefined) return { authorization: `Bearer ${token.reveal()}` };
  if (basic === undefined) return {};
  const pair = Buffer.from(`${basic.user}:${basic.password.reveal()}`, "utf8");
  return { authorization: `Basic ${pair.toString("base64")}` };
}
