import { DestinationError } from "./destination-error.ts";
import type { Artifact, Receipt } from "./types.ts";

/**
 * The last gate before the cursor moves: every receipt must name the file, and bytes that an attempt of this export built.
 * How a destination came to its SHA-256 is the receipt's `verifiedBy`, which is reported and never improved.
 */
export function verifyReceipts(artifact: Artifact, receipts: readonly Receipt[]): void {
  if (receipts.length === 0) throw new Error("no destination holds the export");
  for (const { destination, name, sha256 } of receipts) {
    if (name !== artifact.name || !artifact.knownSha256.has(sha256)) {
      throw new DestinationError(destination, `its receipt is not for ${artifact.name}`);
    }
  }
}
