import type { Ability } from "../abilities.ts";

/** What Docker's API has nothing for, whichever engine answers. */
const MISSING: ReadonlySet<Ability> = new Set<Ability>([
  "create storage pools",
  "remove storage pools",
  "limit the size of a volume",
  "choose the pool of a container",
  "list the host's interfaces",
  "form a cluster", // Swarm is not used: what this API starts are containers of one host, no services
]);

/** Podman 4.4 is the first that changes the limits of a container. */
const PODMAN_UPDATES = { major: 4, minor: 4 };

/** @param info asks the engine which one it is, when that matters */
export async function dockerLacks(
  ability: Ability,
  info: () => Promise<{ readonly engine: string; readonly version: string }>,
): Promise<boolean> {
  if (MISSING.has(ability)) return true;
  if (ability !== "change the limits of a container") return false;
  const { engine, version } = await info();
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const { major: first, minor: since } = PODMAN_UPDATES;
  return engine === "podman" && (major < first || (major === first && minor < since));
}
