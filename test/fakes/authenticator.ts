import { NOBODY } from "../../hypervisor/frame/guard.ts";
import type { Authenticator, Principal } from "../../hypervisor/types.ts";

/** Knows people by tokens that tests make up. */
export function fakeAuthenticator(
  people: Readonly<Record<string, Partial<Principal>>>,
): Authenticator {
  const identify: Authenticator["identify"] = async (token) => {
    const person = Object.hasOwn(people, token) ? people[token] : undefined;
    if (person === undefined) return { known: false, reason: "it is not known" };
    const principal = {
      ...NOBODY,
      name: token,
      via: "session" as const,
      projects: "all" as const,
    };
    return { known: true, principal: { ...principal, ...person } };
  };
  return { identify, identifyCookie: identify };
}
