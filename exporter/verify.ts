import { DestinationError } from "./destination-error.ts";
import { isFor } from "./keep.ts";
import type { Artifact, Receipt } from "./types.ts";

/**
 * The last gate before the cursor moves: every destination must have named every file, with bytes that an attempt of this
 * export built. How a destination came to its SHA-256 is the receipt's `verifiedBy`, which is reported and never improved.
 */
export function verifyReceipts(
  artifacts: readonly Artifact[],
  receipts: readonly Receipt[],
  destinations: readonly { readonly name: string }[],
): void {
  if (destinations.length === 0) throw new Error("no destination holds the export");
  for (const { name: destination } of destinations) {
    for (const artifact of artifacts.filter((each) => isFor(each, destination))) {
      const isHeld = receipts.some(
        (receipt) =>
          receipt.destination === destination &&
          receipt.name === artifact.name &&
          artifact.knownSha256.has(receipt.sha256),
      );
      if (!isHeld) throw new DestinationError(destination, `no receipt for ${artifact.name}`);
    }
  }
}
