import { forbidden, unauthorized } from "./status.ts";
import type { Target } from "./types.ts";
import { verbOf } from "./route.ts";

export interface Tokens {
  /** May do everything. */
  readonly token: string;
  /** May get and list only: user "viewer". */
  readonly readOnlyToken: string | undefined;
}

/**
 * Who may do what. A wrong token is 401; no token at all is the user system:anonymous, who is known and forbidden.
 *
 * @throws StatusError 401 or 403
 */
export function checkAccess(
  authorization: string | undefined,
  method: string,
  target: Target | undefined,
  tokens: Tokens,
): void {
  const given = /^Bearer (.+)$/i.exec(authorization ?? "")?.[1];
  if (given === tokens.token) return;
  const viewer = given !== undefined && given === tokens.readOnlyToken;
  if (given !== undefined && !viewer) throw unauthorized();
  if (target === undefined) return; // an unknown path is 404 for everybody here
  const verb = verbOf(method, target);
  if (viewer && (verb === "get" || verb === "list")) return;
  throw forbidden(target, viewer ? "viewer" : "system:anonymous", verb);
}
