import { messageOf } from "../../lib/error.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Backend, Container, ContainerSpec, Named } from "../backends/types.ts";
import { NOT_STARTED } from "../events/container-events.ts";
import { shownContainer } from "../routes/shown-container.ts";
import { shownSnapshot } from "../routes/shown-snapshot.ts";
import type { Handler, Handlers, Looked, Run, WorkOf } from "./types.ts";

/** The clocks of the backend and the database may differ by so much. */
const CLOCKS_DIFFER_MS = 60_000;

/** How each kind of work is done, and looked at after another process left it in the middle. */
export const handlers: Omit<Handlers, "prune" | "export-snapshot"> = {
  create: {
    perform: async (work, run) => {
      const made = await run.backend.containers.create(specOf(work), run);
      if (!work.start) return shownContainer(made);
      return shownContainer(
        await started(work, run).catch((error: unknown) => {
          const why =
            error instanceof HttpProblem ? (error.detail ?? error.title) : messageOf(error);
          throw new Error(`${NOT_STARTED}: ${why}`, { cause: error });
        }),
      );
    },
    look: async (work, run) => {
      const made = await youngContainer(work, run);
      if (made === undefined) return unknown(work);
      return { kind: "done", result: shownContainer(work.start ? await started(work, run) : made) };
    },
  },
  remove: {
    perform: async ({ project, name, force }, { backend, signal }) => {
      await backend.containers.remove({ project, name, force }, { signal });
      return undefined;
    },
    look: async (work, { backend, signal }) => {
      const left = await orAbsent(async () => backend.containers.get(placeOf(work), { signal }));
      return left?.id === work.containerId ? { kind: "again" } : { kind: "done" };
    },
  },
  snapshot: {
    perform: async ({ project, name, snapshot, comment }, { backend, signal }) => {
      const request = { project, name, snapshot, comment };
      return shownSnapshot(await backend.snapshots.create(request, { signal }));
    },
    look: async (work, { backend, signal }) => {
      const found = await findSnapshot(backend, work, signal);
      return found === undefined ? unknown(work) : { kind: "done", result: shownSnapshot(found) };
    },
  },
  restore: {
    perform: async ({ project, name, snapshot }, { backend, signal }) =>
      shownContainer(await backend.snapshots.restore({ project, name, snapshot }, { signal })),
    // Files may be half the old and half the new ones, and a second time would lose what was written since.
    look: async (work) => Promise.resolve(unknown(work)),
  },
  clone: {
    perform: async ({ project, name, snapshot, newName }, { backend, signal }) => {
      const request = { project, name, snapshot, newName };
      return shownContainer(await backend.snapshots.clone(request, { signal }));
    },
    look: async (work, run) => {
      const target = { project: work.project, name: work.newName };
      const made = await youngContainer(target, run);
      return made === undefined ? unknown(target) : { kind: "done", result: shownContainer(made) };
    },
  },
  "delete-snapshot": deletesSnapshot(),
};

function specOf(work: WorkOf<"create">): ContainerSpec {
  const { project, name, image, cpus, memoryBytes, diskBytes, labels } = work;
  const { environment, command, bridge, pool } = work;
  const limits = { cpus, memoryBytes, diskBytes };
  return { project, name, image, ...limits, labels, environment, command, bridge, pool };
}

function deletesSnapshot(): Handler<WorkOf<"delete-snapshot">> {
  return {
    perform: async ({ project, name, snapshot }, { backend, signal }) => {
      await backend.snapshots.remove({ project, name, snapshot }, { signal });
      return undefined;
    },
    look: async (work, { backend, signal }) => {
      const found = await findSnapshot(backend, work, signal);
      return found === undefined ? { kind: "done" } : { kind: "again" };
    },
  };
}

/** A container that is started already is left alone by the backend. */
async function started(
  { project, name }: Named,
  { backend, signal, tell }: Run,
): Promise<Container> {
  await tell({ percent: 80, message: "made; it is being started" });
  return backend.containers.act({ project, name, action: "start" }, { signal });
}

/** The container of this name, if it was made since the operation began. */
async function youngContainer(
  { project, name }: Named,
  { backend, signal, claim }: Run,
): Promise<Container | undefined> {
  const found = await orAbsent(async () => backend.containers.get({ project, name }, { signal }));
  const oldest = claim.startedAt.getTime() - CLOCKS_DIFFER_MS;
  return found !== undefined && Date.parse(found.createdAt) >= oldest ? found : undefined;
}

async function findSnapshot(
  { snapshots }: Backend,
  { project, name, snapshot }: Named & { readonly snapshot: string },
  signal: AbortSignal,
) {
  const all = await orAbsent(async () => snapshots.list({ project, name }, { signal }));
  return all?.find((each) => each.name === snapshot);
}

function placeOf({ project, name }: Named): Named {
  return { project, name };
}

function unknown({ project, name }: Named): Looked {
  return {
    kind: "unknown",
    why: `interrupted, state of the container ${project}/${name} unknown — look`,
  };
}

async function orAbsent<Answer>(ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof HttpProblem && error.status === 404) return undefined;
    throw error;
  }
}
