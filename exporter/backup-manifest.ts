import { z } from "zod";
import { signNote, verifyNote, type NoteVerifier } from "../lib/signed-note.ts";
import type { Signer } from "./manifest.ts";

/** How the names of all files of a backup begin; the time of its start follows. */
export const PREFIX = "backup-";
const NAME = /^backup-\d{8}T\d{6}Z$/;
/** The last file of a backup: one without it was never finished. Signed, it is a note. */
const SIGNED = ".manifest.note";
const UNSIGNED = ".manifest.json";

const part = z.object({
  name: z.string().regex(/^[\w-][\w.-]*$/, "must be a plain file name"),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the keys that wrapped its data key, by wrapper name. */
  keyIds: z.record(z.string(), z.string()).optional(),
});

const manifest = z.object({
  format: z.literal("fettle-backup-manifest/1"),
  /** How the names of its files begin. Signed with the rest, so that an old backup does not pass for a new one. */
  name: z.string().regex(NAME),
  id: z.uuid(),
  /** Whose backup it is: a place may hold those of several. `system` is PostgreSQL's identifier of the cluster. */
  database: z.object({ system: z.string(), name: z.string() }),
  /** Just before pg_dump took its snapshot: what was committed before it is in the backup. */
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  sealed: z.array(z.enum(["pgp", "envelope"])),
  /** Wrapping keys that do not open every part: they did not answer, and the quorum did without. */
  keysMissing: z.array(z.string()),
  /** Of pg_dump's output. */
  dumpBytes: z.number().int().positive(),
  parts: z.array(part).min(1),
});

/** What a backup consists of. It stands in the clear, so it says nothing about the content but its size and origin. */
export type BackupManifest = z.infer<typeof manifest>;
export type BackupPart = z.infer<typeof part>;

/** Whose signature a manifest must have; "anybody": it is not looked at. */
export type Trust = readonly NoteVerifier[] | "anybody";

/** The file of a manifest. */
export interface ManifestFile {
  readonly name: string;
  readonly text: string;
}

/** What a backup that begins now is called. */
export function backupName(startedAt: Date): string {
  return `${PREFIX}${startedAt.toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
}

/** How the name of each part begins; its number and its layers follow. */
export function partPrefix(backup: string): string {
  return `${backup}.dump.`;
}

/** As a signed note, or as it is when nobody signs. */
export function writeManifest(content: BackupManifest, signer: Signer | undefined): ManifestFile {
  const text = `${JSON.stringify(content, null, 1)}\n`;
  if (signer === undefined) return { name: content.name + UNSIGNED, text };
  return {
    name: content.name + SIGNED,
    text: signNote(text, signer.keyName, signer.privateKey),
  };
}

/** The names under which the manifest of a backup may be found, the better first. */
export function manifestNames(backup: string): readonly string[] {
  return [backup + SIGNED, backup + UNSIGNED];
}

/** The backup whose manifest this is by its name; undefined when it is no manifest. */
export function backupOf(fileName: string): string | undefined {
  const suffix = [SIGNED, UNSIGNED].find((end) => fileName.endsWith(end));
  if (suffix === undefined) return undefined;
  const backup = fileName.slice(0, -suffix.length);
  return NAME.test(backup) ? backup : undefined;
}

/**
 * @param fileName what the manifest was found as
 * @throws NoteError when nobody who is trusted signed it; Error when it is no manifest, or another backup's
 */
export function readManifest({ name: fileName, text }: ManifestFile, trust: Trust): BackupManifest {
  const result = manifest.safeParse(parse(fileName, contentOf({ name: fileName, text }, trust)));
  if (!result.success) throw new Error(`${fileName}: ${z.prettifyError(result.error)}`);
  if (result.data.name !== backupOf(fileName))
    throw new Error(`${fileName}: it is the manifest of ${result.data.name}`);
  // Where nobody signs, a manifest that somebody put there must not have other files fetched, or taken away.
  const own = partPrefix(result.data.name);
  const stranger = result.data.parts.find((each) => !each.name.startsWith(own));
  if (stranger !== undefined)
    throw new Error(`${fileName}: ${stranger.name} is no part of ${result.data.name}`);
  return result.data;
}

function contentOf({ name, text }: ManifestFile, trust: Trust): string {
  if (trust !== "anybody") return verifyNote(text, trust).text;
  return name.endsWith(SIGNED) ? text.slice(0, text.lastIndexOf("\n\n") + 1) : text;
}

function parse(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${name}: is no manifest`, { cause });
  }
}
