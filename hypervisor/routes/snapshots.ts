import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { lineSchema } from "../people/names.ts";
import type { Router } from "../frame/router.ts";
import { begin } from "../operations/begin.ts";
import { progressSchema } from "../operations/shown-progress.ts";
import { refuseWithoutKeys } from "../snapshots-export/choose-keys.ts";
import { KEY_NAMES, type Vault } from "../snapshots-export/types.ts";
import { look } from "./container-changes.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { refuseTaken } from "./create-container.ts";
import { nameSchema, projectQuery } from "./names.ts";
import { roomFor, roomForSnapshot, wholeOf } from "./quota-use.ts";
import { shownSnapshot, snapshotSchema } from "./shown-snapshot.ts";

interface SnapshotDeps extends ContainerDeps {
  readonly clock: Clock;
  readonly vault: Vault;
}

const params = z.strictObject({ name: nameSchema });
const COLLECTION = "/api/v1/containers/:name/snapshots";

/** `/api/v1/containers/{name}/snapshots`. */
export function addSnapshotRoutes(router: Router, deps: SnapshotDeps): void {
  const { backend } = deps;
  router.route(
    {
      method: "get",
      path: COLLECTION,
      permission: "container:read",
      summary: "the snapshots of a container, oldest first",
      params,
      query: projectQuery,
      answers: { 200: z.object({ total: z.number(), snapshots: z.array(snapshotSchema) }) },
    },
    async (call) => {
      const { place } = await look(backend, call);
      const snapshots = (await backend.snapshots.list(place, call)).map(shownSnapshot);
      return { status: 200, body: { total: snapshots.length, snapshots } };
    },
  );
  addCreate(router, deps);
  addRestore(router, deps);
  addClone(router, deps);
  addExport(router, deps);
  addRemove(router, deps);
}

function addCreate(router: Router, { backend, clock, quotas, operations }: SnapshotDeps): void {
  router.route(
    {
      method: "post",
      path: COLLECTION,
      permission: "container:snapshot",
      summary: "takes a snapshot of a container, running or not",
      params,
      query: projectQuery,
      body: z.strictObject({ name: nameSchema.optional(), comment: lineSchema.default("") }),
      answers: { 202: progressSchema },
      mutates: { action: "SnapshotCreated", resource: "snapshot" },
    },
    async (call) => {
      const { place } = await look(backend, call);
      const { name: snapshot = nameOf(clock.now()), comment } = call.body;
      const taken = await backend.snapshots.list(place, call);
      if (taken.some(({ name }) => name === snapshot)) {
        const why = `There is a snapshot ${snapshot} of ${place.name} already.`;
        throw new HttpProblem(409, "Conflict", why);
      }
      const id = `${place.name}/${snapshot}`;
      const facts = { project: place.project };
      const summary = `Took the snapshot ${snapshot} of ${place.name}`;
      const work = { verb: "snapshot", ...place, snapshot, comment } as const;
      const hasRoom = roomForSnapshot(quotas, place.project, taken.length);
      return begin(operations, call, { id, summary, facts }, work, hasRoom);
    },
  );
}

/** `snap-20240128-123456`, of the time in UTC. */
function nameOf(now: Date): string {
  const [date = "", time = ""] = now.toISOString().split("T");
  return `snap-${date.replaceAll("-", "")}-${time.slice(0, 8).replaceAll(":", "")}`;
}

function addRestore(router: Router, { backend, operations }: SnapshotDeps): void {
  router.route(
    {
      method: "post",
      path: `${COLLECTION}/restore`,
      permission: "container:snapshot",
      summary: "puts a container back to a snapshot; what came after it is lost",
      params,
      query: projectQuery,
      body: z.strictObject({ snapshot_name: nameSchema }),
      answers: { 202: progressSchema },
      mutates: { action: "SnapshotRestored", resource: "snapshot" },
    },
    async (call) => {
      const { place } = await look(backend, call);
      const snapshot = call.body.snapshot_name;
      await refuseMissing({ backend }, { ...place, snapshot }, call.signal);
      const id = `${place.name}/${snapshot}`;
      const facts = { project: place.project };
      const summary = `Put ${place.name} back to the snapshot ${snapshot}`;
      const work = { verb: "restore", ...place, snapshot } as const;
      return begin(operations, call, { id, summary, facts }, work);
    },
  );
}

/** For dry runs too. @throws HttpProblem 404 */
async function refuseMissing(
  { backend }: Pick<SnapshotDeps, "backend">,
  place: { readonly project: string; readonly name: string; readonly snapshot: string },
  signal: AbortSignal,
): Promise<void> {
  const { project, name, snapshot } = place;
  const found = await backend.snapshots.list({ project, name }, { signal });
  if (found.some((each) => each.name === snapshot)) return;
  throw new HttpProblem(404, "Not found", `There is no snapshot ${snapshot} of ${name}.`);
}

function addClone(router: Router, { backend, quotas, operations }: SnapshotDeps): void {
  router.route(
    {
      method: "post",
      path: `${COLLECTION}/clone`,
      permission: "container:snapshot",
      summary: "makes a new container of a snapshot; it is not started",
      params,
      query: projectQuery,
      body: z.strictObject({ snapshot_name: nameSchema, new_container_name: nameSchema }),
      answers: { 202: progressSchema },
      mutates: { action: "SnapshotCloned", resource: "snapshot" },
    },
    async (call) => {
      const { snapshot_name: snapshot, new_container_name: newName } = call.body;
      await call.require("container:create", newName);
      const { place, container } = await look(backend, call);
      await refuseMissing({ backend }, { ...place, snapshot }, call.signal);
      const made = { project: place.project, name: newName };
      await refuseTaken(backend, made, call);
      const hasRoom = await roomFor({ backend, quotas }, place.project, wholeOf(container));
      const id = `${place.name}/${snapshot}`;
      const facts = { project: place.project, new_container_name: newName };
      const summary = `Made the container ${newName} of the snapshot ${snapshot} of ${place.name}`;
      const work = { verb: "clone", ...place, snapshot, newName } as const;
      return begin(operations, call, { id, summary, facts }, work, hasRoom);
    },
  );
}

function addExport(router: Router, { backend, operations, vault }: SnapshotDeps): void {
  router.route(
    {
      method: "post",
      path: `${COLLECTION}/export`,
      permission: "container:export",
      summary: "puts a snapshot, sealed, into the place for exports",
      params,
      query: projectQuery,
      body: z.strictObject({
        snapshot_name: nameSchema,
        /** Which of the configured keys open it, each of them; without it all of them. */
        keys: z.array(z.enum(KEY_NAMES)).min(1).max(KEY_NAMES.length).optional(),
      }),
      answers: { 202: progressSchema },
      mutates: { action: "SnapshotExported", resource: "snapshot" },
    },
    async (call) => {
      const { snapshot_name: snapshot, keys } = call.body;
      const { name: place } = refuseWithoutKeys(vault, keys);
      const { place: of } = await look(backend, call);
      await refuseMissing({ backend }, { ...of, snapshot }, call.signal);
      const id = `${of.name}/${snapshot}`;
      const facts = { project: of.project, place };
      const summary = `Exported the snapshot ${snapshot} of ${of.name}`;
      const work = { verb: "export-snapshot", ...of, snapshot, keys } as const;
      return begin(operations, call, { id, summary, facts }, work);
    },
  );
}

function addRemove(router: Router, { backend, operations }: SnapshotDeps): void {
  router.route(
    {
      method: "delete",
      path: `${COLLECTION}/:snapshot`,
      permission: "container:snapshot",
      summary: "deletes a snapshot",
      params: params.extend({ snapshot: nameSchema }),
      query: projectQuery,
      answers: { 202: progressSchema },
      mutates: { action: "SnapshotDeleted", resource: "snapshot" },
    },
    async (call) => {
      const { place } = await look(backend, call);
      const { snapshot } = call.params;
      await refuseMissing({ backend }, { ...place, snapshot }, call.signal);
      const id = `${place.name}/${snapshot}`;
      const facts = { project: place.project };
      const summary = `Deleted the snapshot ${snapshot} of ${place.name}`;
      const work = { verb: "delete-snapshot", ...place, snapshot } as const;
      return begin(operations, call, { id, summary, facts }, work);
    },
  );
}
