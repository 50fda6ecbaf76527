import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";
import type { Container } from "./types.ts";

/** Enough against accidents; it protects no secret. */
const DIGITS = 32;

/** Of what somebody may change about a container: not its status, so that a restart leaves If-Match alone. */
export function revisionOf({
  id,
  cpus,
  memoryBytes,
  labels,
}: Pick<Container, "id" | "cpus" | "memoryBytes" | "labels">): string {
  const configuration = { id, cpus: cpus ?? null, memory: memoryBytes ?? null, labels };
  return sha256Hex(canonicalJson(configuration)).slice(0, DIGITS);
}
