import { weakness, type Passwords } from "../auth/password.ts";
import { HttpProblem } from "../../lib/problem.ts";

/** The hash of a password that somebody chose for a user. @throws HttpProblem 400 for one that is too weak */
export async function passwordHash(
  passwords: Passwords,
  password: string,
  username: string,
): Promise<string> {
  const weak = weakness(password, username);
  if (weak !== undefined) throw new HttpProblem(400, "Bad request", `password: ${weak}`);
  return passwords.hash(password);
}
