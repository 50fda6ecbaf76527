import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { PartFile } from "./build-parts.ts";
import { signManifest, type ListedFile, type Signer } from "./manifest.ts";
import { manifestName, storedName } from "./name.ts";
import type { Sealing } from "./outputs.ts";
import type {
  Artifact,
  ExportPlan,
  ExportSession,
  PlannedPart,
  Receipt,
  SignedManifest,
} from "./types.ts";
import { workName } from "./work-folder.ts";

export interface Delivered {
  readonly session: ExportSession;
  readonly plan: ExportPlan;
  readonly parts: readonly PlannedPart[];
  readonly files: readonly PartFile[];
  readonly receipts: readonly Receipt[];
}

export interface SealDeps {
  readonly signer: Signer | undefined;
  readonly sealing: Sealing;
  readonly workFolder: string;
}

/**
 * The signed manifest of an export whose files are all delivered, ready to be delivered itself; undefined when nobody
 * signs. It is committed before it leaves: a resumed run sends the very same bytes.
 */
export async function sealManifest(
  delivered: Delivered,
  deps: SealDeps,
): Promise<Artifact | undefined> {
  const { plan } = delivered;
  if (deps.signer === undefined) return undefined;
  const signed = plan.manifest ?? (await sign(delivered, deps.signer, deps));
  const path = join(deps.workFolder, workName(plan.exportId, signed.name));
  await rm(path, { force: true }); // a folder may have this very file under another name
  // On the disk before a folder gives it a second name: a receipt must not outlive the bytes.
  await writeFile(path, signed.note, { mode: 0o600, flush: true });
  return {
    name: signed.name,
    exportId: plan.exportId,
    path,
    bytes: Buffer.byteLength(signed.note),
    sha256: signed.sha256,
    plaintextBytes: Buffer.byteLength(signed.note),
    plaintextSha256: signed.sha256,
    rows: 0,
    knownSha256: new Set([signed.sha256]),
  };
}

async function sign(
  { session, plan, parts, files, receipts }: Delivered,
  signer: Signer,
  { sealing }: SealDeps,
): Promise<SignedManifest> {
  const signed = signManifest(
    plan,
    storedName(manifestName(plan.name.clear), sealing.filenameSalt),
    {
      parts,
      files: listedFiles(files, receipts),
      pgpRecipients: sealing.recipients.map(({ fingerprint }) => fingerprint),
      keyIds: Object.fromEntries(sealing.wrappers.map(({ name, id }) => [name, id])),
      cluster: await session.cluster(),
      head: await session.chainHead(),
    },
    signer,
  );
  await session.recordManifest(plan, signed);
  return signed;
}

/** What the destinations hold: after a crash two of them may hold different builds of one part. */
function listedFiles(files: readonly PartFile[], receipts: readonly Receipt[]): ListedFile[] {
  return files.flatMap(({ name, part, form, onlyAt }) => {
    const kept = onlyAt === undefined ? {} : { kept: true as const };
    const held = receipts.filter((receipt) => receipt.name === name);
    const builds = new Map(held.map(({ sha256, bytes }) => [sha256, { sha256, bytes }]));
    return [...builds.values()].map((build) => ({ name, part, form, ...build, ...kept }));
  });
}
