import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { sha256Hex } from "../lib/canonical.ts";
import { MerkleTree } from "../lib/merkle.ts";
import { signNote, verifyNote, type NoteVerifier } from "../lib/signed-note.ts";
import { COLUMN_NAMES } from "./csv.ts";
import type { Form } from "./name.ts";
import type { ChainHead, ExportPlan, PlannedPart, Position, SignedManifest } from "./types.ts";

/** Who signs manifests; the name stands in each note. */
export interface Signer {
  readonly keyName: string;
  readonly privateKey: KeyObject;
}

const FORMAT = "fettle-audit-manifest/1";

const position = z.object({ xid: z.string(), id: z.string() });
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative();

const schema = z.object({
  format: z.literal(FORMAT),
  sequence: count.positive(),
  export_id: z.string(),
  table: z.string(),
  system_identifier: z.string().nullable(),
  /** When the export was planned. */
  cutoff: z.string(),
  rows: count,
  /** The rows behind `after`, up to and with `last`, of transactions below `below_xid`. */
  range: z.object({ after: position.nullable(), last: position, below_xid: z.string() }),
  columns: z.array(z.string()),
  formula: z.enum(["escape", "off"]),
  merkle: z.object({
    hash: z.literal("rfc6962-sha256"),
    leaf: z.literal("netstrings"),
    root: hex64,
  }),
  parts: z.array(
    z.object({ part: count.positive(), rows: count, bytes: count, sha256: hex64, last: position }),
  ),
  files: z.array(
    z.object({
      name: z.string(),
      part: count.positive(),
      /** Files of JSON lines by themselves were made by earlier versions. */
      form: z.enum(["csv", "zip", "jsonl"]),
      bytes: count,
      sha256: hex64,
      /** A copy that stayed on the exporter's machine: elsewhere it is not missing. */
      kept: z.literal(true).optional(),
    }),
  ),
  pgp_recipients: z.array(z.string()),
  key_ids: z.record(z.string(), z.string()),
  previous: z.object({ sequence: count.positive(), sha256: hex64 }).nullable(),
});

/** What a manifest says; see docs/exporter.md for each member. */
export type Manifest = z.infer<typeof schema>;

/** A manifest whose signature fits. */
export interface VerifiedManifest {
  readonly manifest: Manifest;
  readonly sha256: string;
  readonly keyName: string;
  readonly keyId: string;
}

/** A file of the export as a destination holds it. */
export interface ListedFile {
  readonly name: string;
  readonly part: number;
  readonly form: Form;
  readonly bytes: number;
  readonly sha256: string;
  readonly kept?: true;
}

export interface ManifestContent {
  readonly parts: readonly PlannedPart[];
  readonly files: readonly ListedFile[];
  readonly pgpRecipients: readonly string[];
  readonly keyIds: Readonly<Record<string, string>>;
  readonly cluster: string | undefined;
  readonly head: ChainHead | undefined;
}

/** Writes and signs the manifest of an export. The same export gives the same bytes, whenever it is done. */
export function signManifest(
  plan: ExportPlan,
  storedName: string,
  content: ManifestContent,
  signer: Signer,
): SignedManifest {
  const sequence = (content.head?.sequence ?? 0) + 1;
  const manifest = manifestOf(plan, content, sequence);
  const note = signNote(
    `${JSON.stringify(manifest, null, 1)}\n`,
    signer.keyName,
    signer.privateKey,
  );
  return { sequence, name: storedName, sha256: sha256Hex(note), note };
}

function manifestOf(plan: ExportPlan, content: ManifestContent, sequence: number): Manifest {
  const { range } = plan;
  const tree = new MerkleTree(content.parts.at(-1)?.tree);
  return {
    format: FORMAT,
    sequence,
    export_id: plan.exportId,
    table: "runbooks_audit",
    system_identifier: content.cluster ?? null,
    cutoff: range.cutoff.toISOString(),
    rows: tree.size,
    range: {
      after: range.after === undefined ? null : plain(range.after),
      last: plain(range.last),
      below_xid: range.horizonXid,
    },
    columns: [...COLUMN_NAMES],
    formula: plan.formula,
    merkle: { hash: "rfc6962-sha256", leaf: "netstrings", root: tree.root().toString("hex") },
    parts: content.parts.map(({ part, rows, bytes, sha256, last }) => ({
      part,
      rows,
      bytes,
      sha256,
      last: plain(last),
    })),
    files: content.files.map(({ name, part, form, bytes, sha256, kept }) => ({
      name,
      part,
      form,
      bytes,
      sha256,
      ...(kept !== undefined && { kept }),
    })),
    pgp_recipients: [...content.pgpRecipients],
    key_ids: { ...content.keyIds },
    previous: content.head === undefined ? null : { ...content.head },
  };
}

function plain({ xid, id }: Position): Position {
  return { xid, id };
}

/** Whether a file's beginning looks like a manifest of ours. Says nothing about its signature. */
export function looksLikeManifest(head: string): boolean {
  return /^\{\s*"format":\s*"fettle-audit-manifest\//.test(head);
}

/** A manifest of our own record. Its signature is not looked at. */
export function readOwnManifest(note: string): Manifest {
  const text = note.slice(0, note.lastIndexOf("\n\n") + 1);
  return schema.parse(JSON.parse(text));
}

/**
 * Reads a manifest whose signature fits one of the keys.
 *
 * @throws NoteError when none fits; Error when what was signed is not a manifest
 */
export function readManifest(bytes: Buffer, verifiers: readonly NoteVerifier[]): VerifiedManifest {
  const note = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  const { text, keyName, keyId } = verifyNote(note, verifiers);
  const parsed = schema.safeParse(JSON.parse(text));
  if (!parsed.success) {
    const members = parsed.error.issues.map((issue) => issue.path.join(".")).join(", ");
    throw new Error(`not a manifest of this format: check ${members}`);
  }
  return { manifest: parsed.data, sha256: sha256Hex(bytes), keyName, keyId };
}
