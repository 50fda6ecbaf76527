import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Backend, Container, Named, Volume } from "../backends/types.ts";
import { pendingChanges, type LimitChange } from "../operations/limit-changes.ts";
import { unfinishedMakings, type Making } from "../operations/makings.ts";
import type { Handler, WorkOf } from "../operations/types.ts";
import type { Amounts, Quotas, Scope } from "../people/quota.ts";

const MEGABYTE = 2 ** 20;
const GIGABYTE = 2 ** 30;

interface Deps {
  readonly backend: Backend;
  readonly quotas: Quotas;
}

/** What comes on top; `Infinity` where nobody knows how much. */
interface More {
  readonly containers?: number | undefined;
  readonly cpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly diskBytes?: number | undefined;
}

/** Asks within a transaction. @throws HttpProblem 403 that names the quota */
type HasRoom = (tx: Queryable) => Promise<void>;

/** What the backend has in some projects. */
interface Held {
  readonly projects: ReadonlySet<string>;
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}

/** What was accepted and is not on the backend yet. */
interface Coming {
  readonly makings: readonly Making[];
  readonly changes: readonly LimitChange[];
}

/**
 * Whether a project and its organization have room for more: by what there is now, and what was accepted and is still to be done.
 * What has no limit may take everything, so where there is a quota it counts as that: unknown means no.
 */
export async function roomFor(
  { backend, quotas }: Deps,
  project: string,
  more: More,
): Promise<HasRoom> {
  const held = await holdingsOf(backend, await quotas.scopesOf(project));
  return async (tx) => {
    const scopes = await quotas.scopesOf(project, tx);
    const coming = await comingIn(tx, scopes);
    for (const scope of scopes)
      await quotas.check(scope, usedBy(scope, held, coming), amounts(more));
  };
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
      const scopes = await quotas.scopesOf(work.project);
      const coming = await comingIn(database, scopes, run.claim.id);
      const held = await holdingsOf(run.backend, scopes, run.signal);
      for (const scope of scopes)
        await quotas.check(scope, usedBy(scope, held, coming), amountsOf(work, held));
      return handler.perform(work, run);
    },
  };
}

/**
 * Looks again after a change of limits was written down: what ended since the first look is on the backend by now.
 *
 * @param grown by how much, from the limits that the container has now
 * @throws HttpProblem 403 that names the quota
 */
export async function stillRoomFor(
  { backend, quotas, database }: Deps & { readonly database: Queryable },
  change: Named,
  grown: (now: Container) => More,
): Promise<void> {
  const scopes = await quotas.scopesOf(change.project);
  const { makings, changes } = await comingIn(database, scopes);
  const others = changes.filter((each) => objectOf(each) !== objectOf(change));
  const held = await holdingsOf(backend, scopes);
  const now = held.containers.find((each) => objectOf(each) === objectOf(change));
  if (now === undefined) return; // no quota counts it, or it was removed, which the backend will say
  for (const scope of scopes)
    await quotas.check(
      scope,
      usedBy(scope, held, { makings, changes: others }),
      amounts(grown(now)),
    );
}

/** Whether a container may have one more snapshot. @param taken those that it has */
export function roomForSnapshot(quotas: Quotas, project: string, taken: number): HasRoom {
  return async (tx) => {
    for (const scope of await quotas.scopesOf(project, tx))
      await quotas.check(scope, { snapshots: taken }, { snapshots: 1 });
  };
}

/** For schedules, which do not look before. */
export function withinSnapshots(
  { quotas, database }: { readonly quotas: Quotas; readonly database: Queryable },
  handler: Handler<WorkOf<"snapshot">>,
): Handler<WorkOf<"snapshot">> {
  return {
    look: handler.look,
    perform: async (work, run) => {
      const { project, name } = work;
      const limited = (await quotas.scopesOf(project)).some(({ quota }) => "snapshots" in quota);
      if (limited) {
        const taken = await run.backend.snapshots.list({ project, name }, run);
        await roomForSnapshot(quotas, project, taken.length)(database);
      }
      return handler.perform(work, run);
    },
  };
}

/** What scopes hold on the backend now. */
export async function usageOf(
  backend: Backend,
  scopes: readonly Scope[],
  signal: AbortSignal,
): Promise<(scope: Scope) => Amounts> {
  const held = await holdingsOf(backend, scopes, signal);
  return (scope) => usedBy(scope, held, { makings: [], changes: [] });
}

async function holdingsOf(
  backend: Backend,
  scopes: readonly Scope[],
  signal?: AbortSignal,
): Promise<Held> {
  const projects = [...new Set(scopes.flatMap((scope) => scope.projects))];
  if (projects.length === 0) return { projects: new Set(), containers: [], volumes: [] };
  const [project] = projects;
  const all = await backend.containers.list(projects.length === 1 ? { project } : {}, { signal });
  const counted = new Set(projects);
  const containers = all.filter((each) => counted.has(each.project));
  const countsStorage = scopes.some(({ quota }) => quota.storage_gb !== undefined);
  const volumes = countsStorage ? await volumesIn(backend, projects, signal) : [];
  return { projects: counted, containers, volumes };
}

async function volumesIn(
  { storage }: Backend,
  projects: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly Volume[]> {
  const volumes: Volume[] = [];
  for (const { pool } of await storage.pools({}, { signal }))
    for (const project of projects)
      volumes.push(...(await storage.volumes({ pool, project }, { signal })));
  return volumes;
}

async function comingIn(
  database: Queryable,
  scopes: readonly Scope[],
  except?: string,
): Promise<Coming> {
  const projects = [...new Set(scopes.flatMap((scope) => scope.projects))];
  if (projects.length === 0) return { makings: [], changes: [] };
  return {
    makings: await unfinishedMakings(database, projects, except),
    changes: await pendingChanges(database, projects),
  };
}

/** @throws HttpProblem 409 when the organization has got another VDC since the backend was asked */
function usedBy(scope: Scope, held: Held, coming: Coming): Amounts {
  if (scope.projects.some((project) => !held.projects.has(project)))
    throw new HttpProblem(
      409,
      "Busy",
      `The VDCs of ${scope.organization} were changed meanwhile: try again.`,
      { "Retry-After": "1" },
    );
  const isIn = ({ project }: { readonly project: string }) => scope.projects.includes(project);
  const containers = held.containers.filter(isIn);
  const names = new Set(containers.map(objectOf));
  const all = [
    ...containers.map((each) => wholeOf(changed(each, coming.changes))),
    ...held.volumes.filter(isIn).map(({ sizeBytes = Infinity }) => ({ diskBytes: sizeBytes })),
    ...coming.makings
      .filter(isIn)
      .filter((work) => !names.has(objectOf(madeBy(work))))
      .map((work) => moreOf(work, held)),
  ].map(amounts);
  const sum = (kind: keyof Amounts) => all.reduce((total, each) => total + (each[kind] ?? 0), 0);
  return {
    containers: sum("containers"),
    cpu: sum("cpu"),
    memory_mb: sum("memory_mb"),
    storage_gb: sum("storage_gb"),
  };
}

/** With the larger of its limits and those that it will have. */
function changed(container: Container, changes: readonly LimitChange[]): More {
  const { cpus, memoryBytes, diskBytes } = container;
  const change = changes.find((each) => objectOf(each) === objectOf(container));
  const larger = (now: number | undefined, then: number | undefined) =>
    now === undefined ? undefined : Math.max(now, then ?? 0);
  return {
    cpus: larger(cpus, change?.cpus),
    memoryBytes: larger(memoryBytes, change?.memoryBytes),
    diskBytes,
  };
}

function objectOf({ project, name }: Named): string {
  return `${project}/${name}`;
}

function madeBy(work: Making) {
  return { project: work.project, name: work.verb === "clone" ? work.newName : work.name };
}

function amountsOf(work: Making, held: Held): Amounts {
  return amounts(moreOf(work, held));
}

/** A clone has what the container has whose snapshot it is. */
function moreOf(work: Making, { containers }: Held): More {
  const like =
    work.verb === "create" ? work : containers.find((each) => objectOf(each) === objectOf(work));
  return wholeOf(like ?? {});
}

/** A container without a limit may take everything. */
export function wholeOf({
  cpus = Infinity,
  memoryBytes = Infinity,
  diskBytes = Infinity,
}: More): More {
  return { containers: 1, cpus, memoryBytes, diskBytes };
}

function amounts({ containers, cpus, memoryBytes, diskBytes }: More): Amounts {
  return {
    containers,
    cpu: cpus,
    memory_mb: memoryBytes === undefined ? undefined : Math.ceil(memoryBytes / MEGABYTE),
    storage_gb: diskBytes === undefined ? undefined : diskBytes / GIGABYTE,
  };
}
