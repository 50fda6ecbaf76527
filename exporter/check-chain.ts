import type { Manifest, VerifiedManifest } from "./manifest.ts";

/**
 * What is wrong between manifests: each must name the one before it and begin where that one ended.
 *
 * @param sorted by sequence
 */
export function chainProblems(
  sorted: readonly VerifiedManifest[],
  previous: VerifiedManifest | undefined,
  head: string | undefined,
): readonly string[] {
  const problems: string[] = [];
  let before = previous;
  for (const next of sorted) {
    const problem = before === undefined ? undefined : linkProblem(before, next);
    if (problem !== undefined) problems.push(problem);
    before = next;
  }
  const last = sorted.at(-1);
  const seen = last === undefined ? "none" : `${last.manifest.sequence}:${last.sha256}`;
  if (head !== undefined && head !== seen) {
    problems.push(
      `the newest manifest is ${seen}, not ${head}: the end of the chain was cut off or changed`,
    );
  }
  return problems;
}

function linkProblem(before: VerifiedManifest, next: VerifiedManifest): string | undefined {
  const { sequence, previous } = next.manifest;
  const expected = before.manifest.sequence + 1;
  if (sequence < expected) return `manifest ${sequence}: there are two that differ`;
  if (sequence > expected) {
    const gap = sequence - 1 === expected ? `${expected} is` : `${expected} to ${sequence - 1} are`;
    return `manifest ${gap} missing`;
  }
  if (previous?.sha256 !== before.sha256) {
    return `manifest ${sequence}: the one before it is not the one that it names; the chain was rewritten`;
  }
  return rangeProblem(before.manifest, next.manifest);
}

function rangeProblem(before: Manifest, next: Manifest): string | undefined {
  const { after } = next.range;
  const { last } = before.range;
  if (before.system_identifier !== next.system_identifier || after === null) return undefined;
  return after.xid === last.xid && after.id === last.id
    ? undefined
    : `manifest ${next.sequence}: its rows do not begin where those of ${before.sequence} end`;
}
