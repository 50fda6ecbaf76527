import { messageOf } from "../lib/error.ts";
import { isFor } from "./keep.ts";
import type { Artifact, Destination, ExportPlan, Receipt } from "./types.ts";

interface UploadDeps {
  readonly record: (receipt: Receipt) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Hands the files to every destination that does not have them yet. One that fails does not keep the others from getting
 * them (it is asked for no more in this run); at the end all failures are thrown together, and the export stays open.
 */
export async function uploadToAll(
  artifacts: readonly Artifact[],
  destinations: readonly Destination[],
  { receipts }: Pick<ExportPlan, "receipts">,
  deps: UploadDeps,
): Promise<readonly Receipt[]> {
  const held: Receipt[] = [];
  const failures: unknown[] = [];
  for (const destination of destinations) {
    try {
      for (const artifact of artifacts.filter((each) => isFor(each, destination.name))) {
        deps.signal?.throwIfAborted();
        const earlier = receipts.find(
          ({ destination: at, name }) => at === destination.name && name === artifact.name,
        );
        held.push(earlier ?? (await upload(artifact, destination, deps)));
      }
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
  { record, signal }: UploadDeps,
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
