import type { TlsAccess, TlsTexts } from "./access.ts";
import { systemClock, type Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { readTlsFiles } from "./tls-files.ts";

/** Looked at so often at most; mounted secrets change about a minute after they were rotated. */
const LOOK_EVERY_MS = 60_000;

/** What node:https takes with a request; connections are shared only by requests that bring the same. */
export interface TlsOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface FollowDeps {
  /** Whose files they are, in the log. */
  readonly owner: string;
  readonly log?: Log | undefined;
  readonly clock?: Pick<Clock, "now"> | undefined;
}

/** The certificates for the next request. Files that were rotated are read again; while they cannot be used, the last good ones stay. */
export function followTlsFiles(
  access: TlsAccess | undefined,
  { owner, log, clock = systemClock }: FollowDeps,
): () => TlsOptions {
  if (access === undefined) return () => ({});
  let used = optionsOf(access.texts);
  let lookedAt = clock.now().getTime();
  let complaint = "";
  const look = (): void => {
    const { texts, problems } = readTlsFiles(access.files);
    const said = problems.map(({ file, text }) => `${file}: ${text}`).join("; ");
    if (said !== "" && said !== complaint) {
      log?.warn("certificates cannot be read, the last ones stay", { owner, problems: said });
    }
    complaint = said;
    const next = optionsOf(texts);
    if (said !== "" || JSON.stringify(next) === JSON.stringify(used)) return;
    used = next;
    log?.info("rotated certificates in use", { owner });
  };
  return () => {
    const now = clock.now().getTime();
    if (Math.abs(now - lookedAt) >= LOOK_EVERY_MS) {
      lookedAt = now;
      look();
    }
    return used;
  };
}

function optionsOf({ ca, cert, key }: TlsTexts): TlsOptions {
  return { ca, cert, key: key?.reveal() };
}
