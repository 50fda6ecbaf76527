import type { Clock } from "../../lib/clock.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Handler, Run, WorkOf } from "../operations/types.ts";
import { refuseWithoutKeys, sealingOf } from "./choose-keys.ts";
import { exportSnapshot, type Exported } from "./export-snapshot.ts";
import type { KeyName, Vault } from "./types.ts";

interface ExportHandlerDeps {
  readonly vault: Vault;
  readonly clock: Clock;
}

type ExportWork = WorkOf<"export-snapshot">;

/** A file that kills its process each time it is exported would be exported for ever. */
const ATTEMPTS_MAX = 5;
/** A result is read in lists too; the manifest has all files. */
const FILES_SHOWN_MAX = 16;

/** How snapshots are exported. Another process begins again from the start, in another folder: nothing is changed by that. */
export function exportHandler(deps: ExportHandlerDeps): Handler<ExportWork> {
  return {
    perform: async (work, run) => {
      try {
        return shown(await perform(work, run, deps));
      } catch (error) {
        // As a failure and no more: what is not found here was not exported, and a deadline is no reason to look again.
        if (error instanceof HttpProblem)
          throw new Error(error.detail ?? error.title, { cause: error });
        throw error;
      }
    },
    look: async (_work, { claim }) =>
      Promise.resolve(
        claim.epoch > ATTEMPTS_MAX
          ? { kind: "unknown", why: `interrupted ${ATTEMPTS_MAX} times; nothing was exported` }
          : { kind: "again" },
      ),
    facts: (result) =>
      Object.fromEntries(Object.entries(result).filter(([name]) => name !== "files")),
  };
}

async function perform(
  work: ExportWork,
  run: Run,
  { vault, clock }: ExportHandlerDeps,
): Promise<Exported> {
  const { project, name, snapshot, keys } = work;
  const store = refuseWithoutKeys(vault, keys as readonly KeyName[] | undefined);
  const place = { project, name };
  const found = await run.backend.snapshots.list(place, run);
  const taken = found.find((each) => each.name === snapshot)?.createdAt;
  if (taken === undefined) throw new Error(`there is no snapshot ${snapshot} of ${name} any more`);
  const sealing = await sealingOf(vault, keys);
  return exportSnapshot({ ...place, snapshot, taken }, run, { vault, store, sealing, clock });
}

function shown({ manifest, stored, parts }: Exported) {
  const { keysMissing } = manifest;
  const recipients = Object.entries(parts[0]?.keyIds ?? {}).filter(
    ([name]) => !keysMissing.includes(name),
  );
  return {
    location: stored.location,
    sha256: stored.sha256,
    bytes: parts.reduce((total, { bytes }) => total + bytes, stored.bytes),
    tar_bytes: manifest.tarBytes,
    parts: parts.length,
    recipients: Object.fromEntries(recipients),
    keys_missing: keysMissing,
    files: parts
      .slice(0, FILES_SHOWN_MAX)
      .map(({ location, bytes, sha256 }) => ({ location, bytes, sha256 })),
  };
}
