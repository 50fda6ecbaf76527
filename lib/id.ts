import { randomBytes } from "node:crypto";

/** A new identifier such as `run_mi8k2z9q1f0c…`: sorts by creation time, and cannot be guessed (80 random bits). */
export function newId(prefix: string): string {
  return `${prefix}_${Date.now().toString(36)}${randomBytes(10).toString("hex")}`;
}
