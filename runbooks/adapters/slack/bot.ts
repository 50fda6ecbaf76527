import type { Secret } from "../../../lib/secret.ts";
import type { DoctorPorts } from "../../doctor/types.ts";

/** `auth.test`: who the token belongs to, and the rights that Slack names in a header. @throws when Slack refuses it */
export async function slackBot(
  { apiUrl, token }: { readonly apiUrl: string; readonly token: Secret },
  signal: AbortSignal,
): ReturnType<DoctorPorts["slackBot"]> {
  const response = await fetch(`${apiUrl.replace(/\/+$/, "")}/auth.test`, {
    method: "POST",
    headers: { authorization: `Bearer ${token.reveal()}` },
    redirect: "error",
    signal,
  });
  const answer = (await response.json()) as {
    readonly ok?: boolean;
    readonly error?: string;
    readonly user?: string;
    readonly team?: string;
  };
  if (answer.ok !== true)
    throw new Error(
      `Slack refused auth.test: ${String(answer.error ?? response.status).slice(0, 80)}`,
    );
  const scopes = response.headers.get("x-oauth-scopes");
  return {
    who: `${String(answer.user)} in ${String(answer.team)}`,
    scopes: scopes?.split(",").map((scope) => scope.trim()),
  };
}
