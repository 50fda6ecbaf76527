import { messageOf } from "../lib/error.ts";
import type { Artifact, Destination, ExportPlan, Receipt } from "./types.ts";

/**
 * Hands the file to every destination that does not have it yet. One that fails does not keep the others from getting it;
 * at the end all failures are thrown together, and the export stays open.
 */
export async function uploadToAll(
  artifact: Artifact,
  destinations: readonly Destination[],
  { receipts }: Pick<ExportPlan, "receipts">,
  deps: {
    readonly record: (receipt: Receipt) => Promise<void>;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<readonly Receipt[]> {
  const held: Receipt[] = [];
  const failures: unknown[] = [];
  for (const destination of destinations) {
    deps.signal?.throwIfAborted();
    const earlier = receipts.find(
      (receipt) => receipt.destination === destination.name && receipt.name === artifact.name,
    );
    try {
      held.push(earlier ?? (await upload(artifact, destination, deps)));
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw asOne(failures);
  return held;
}

async function upload(
  artifact: Artifact,
  destination: Destination,
  { record, signal }: Parameters<typeof uploadToAll>[3],
): Promise<Receipt> {
  const receipt = await destination.upload(artifact, signal);
  await record(receipt);
  return receipt;
}

function asOne(failures: readonly unknown[]): unknown {
  if (failures.length === 1) return failures[0];
  const messages = failures.map((error) => messageOf(error));
  return new AggregateError(failures, messages.join("; "));
}
