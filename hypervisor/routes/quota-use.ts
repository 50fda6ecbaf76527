import type { Queryable } from "../../lib/postgres.ts";
import type { Backend, Container, Resources } from "../backends/types.ts";
import { unfinishedMakings, type Making } from "../operations/makings.ts";
import type { Handler } from "../operations/types.ts";
import type { Amounts, Quotas } from "../people/quota.ts";

const MEGABYTE = 2 ** 20;

interface Deps {
  readonly backend: Backend;
  readonly quotas: Quotas;
}

type More = Resources & { readonly containers?: number };

/** Asks within a transaction. @throws HttpProblem 403 that names the quota */
type HasRoom = (tx: Queryable) => Promise<void>;

/**
 * Whether a project has room for more: by what its containers have now, and what was accepted and is still to be made.
 * One without a limit may take everything, so in a project with a quota it counts as that: unknown means no.
 */
export async function roomFor(
  { backend, quotas }: Deps,
  project: string,
  more: More,
): Promise<HasRoom> {
  const held = await backend.containers.list({ project });
  return async (tx) => {
    const used = usedBy(held, await unfinishedMakings(tx, project));
    await quotas.check(project, used, wishOf(more), tx);
  };
}

/** For limits, which change at once. @throws HttpProblem 403 that names the quota */
export async function refuseOverQuota(
  { backend, quotas, database }: Deps & { readonly database: Queryable },
  project: string,
  more: Resources,
): Promise<void> {
  const coming = await unfinishedMakings(database, project);
  const used = usedBy(await backend.containers.list({ project }), coming);
  await quotas.check(project, used, wishOf(more));
}

/**
 * Asks again when the container is about to be made. What is still to be made is read before what is there: whatever ends
 * in between is seen in one of the two, so of any number that are made at once the last one to ask counts all others.
 */
export function withinQuota<W extends Making>(
  { quotas, database }: { readonly quotas: Quotas; readonly database: Queryable },
  handler: Handler<W>,
): Handler<W> {
  return {
    look: handler.look,
    perform: async (work, run) => {
      const { project } = work;
      const coming = await unfinishedMakings(database, project, run.claim.id);
      const held = await run.backend.containers.list({ project }, run);
      await quotas.check(project, usedBy(held, coming), amountsOf(work, held));
      return handler.perform(work, run);
    },
  };
}

function usedBy(held: readonly Container[], coming: readonly Making[]): Amounts {
  const names = new Set(held.map(({ name }) => name));
  const made = held.map((each) => wishOf({ ...unlimited(each), containers: 1 }));
  const toCome = coming
    .filter((work) => !names.has(work.verb === "clone" ? work.newName : work.name))
    .map((work) => amountsOf(work, held));
  const all = [...made, ...toCome];
  const sum = (of: (each: Amounts) => number | undefined) =>
    all.reduce((total, each) => total + (of(each) ?? 0), 0);
  return {
    containers: sum(({ containers }) => containers),
    cpu: sum(({ cpu }) => cpu),
    memory_mb: sum(({ memory_mb: megabytes }) => megabytes),
  };
}

/** A clone has what the container has whose snapshot it is. */
function amountsOf(work: Making, held: readonly Container[]): Amounts {
  const like = work.verb === "create" ? work : held.find(({ name }) => name === work.name);
  return wishOf({ ...unlimited(like ?? {}), containers: 1 });
}

function unlimited({ cpus = Infinity, memoryBytes = Infinity }: Resources): Resources {
  return { cpus, memoryBytes };
}

function wishOf({ containers, cpus, memoryBytes }: More): Amounts {
  const megabytes = memoryBytes === undefined ? undefined : Math.ceil(memoryBytes / MEGABYTE);
  return { containers, cpu: cpus, memory_mb: megabytes };
}
