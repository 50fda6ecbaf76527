import type { Passwords } from "../auth/password.ts";
import { weakness, type Owner } from "../auth/weakness.ts";
import { HttpProblem } from "../../lib/problem.ts";

/** The hash of a password that somebody chose for a user. @throws HttpProblem 400 for one that is too weak */
export async function passwordHash(
  passwords: Passwords,
  password: string,
  owner: Owner,
): Promise<string> {
  const weak = weakness(password, owner);
  if (weak !== undefined) throw new HttpProblem(400, "Bad request", `password: ${weak}`);
  return passwords.hash(password);
}
