/** The Docker API has no projects: a label of ours holds them. Nobody else's begin like this. */
const OURS = "fettle.";
export const PROJECT = `${OURS}project`;

/** How large its files may become, as it was asked for: the engines hold nobody to it. */
export const DISK = `${OURS}disk_bytes`;

export type Labels = Readonly<Record<string, string>>;

const DEFAULT_PROJECT = "default";

/** Ours, else that of Compose, so that what Compose started can be named as it names it. */
export function projectOf(labels: Labels): string {
  return labels[PROJECT] ?? labels["com.docker.compose.project"] ?? DEFAULT_PROJECT;
}

/** Those that people gave. */
export function givenLabels(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith(OURS)));
}
