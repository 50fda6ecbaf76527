import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import type { Backend, Pool, Volume } from "../backends/types.ts";
import type { Call } from "../frame/call.ts";
import type { Router } from "../frame/router.ts";
import { DEFAULT_PROJECT, nameSchema, projectQuery } from "./names.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { mustBeFree, mustBeThere, mustBeUnused, operate } from "./operate.ts";
import { roomFor } from "./quota-use.ts";

const poolSchema = z
  .object({
    name: z.string(),
    driver: z.string(),
    status: z.string(),
    total_bytes: z.number().nullable(),
    used_bytes: z.number().nullable(),
  })
  .meta({ id: "StoragePool" });
const volumeSchema = z
  .object({
    name: z.string(),
    pool: z.string(),
    project: z.string(),
    created_at: z.string().nullable(),
    size_bytes: z.number().nullable(),
    used_by: z.number(),
  })
  .meta({ id: "StorageVolume" });
const sizeSchema = z
  .int()
  .min(2 ** 20)
  .max(2 ** 50);
const inPool = projectQuery.extend({ pool: nameSchema });

const POOLS = "/api/v1/storage/pools";
const VOLUMES = "/api/v1/storage/volumes";

type Storage = Backend["storage"];
type Asking = Pick<Call, "signal">;
type StorageDeps = Pick<ContainerDeps, "backend" | "quotas" | "operations">;

/** `/api/v1/storage`: pools, and volumes in them. */
export function addStorageRoutes(router: Router, deps: StorageDeps): void {
  const { backend } = deps;
  const { storage } = backend;
  router.route(
    {
      method: "get",
      path: POOLS,
      permission: "storage:read",
      summary: "the storage pools",
      answers: { 200: z.object({ total: z.number(), pools: z.array(poolSchema) }) },
    },
    async (call) => {
      const pools = (await storage.pools({}, call)).map(shownPool);
      return { status: 200, body: { total: pools.length, pools } };
    },
  );
  addPoolChanges(router, deps);
  router.route(
    {
      method: "get",
      path: VOLUMES,
      permission: "storage:read",
      summary: "the volumes of a pool and a project",
      query: inPool,
      answers: { 200: z.object({ total: z.number(), volumes: z.array(volumeSchema) }) },
    },
    async (call) => {
      const place = { project: call.project(call.query.project), pool: call.query.pool };
      const volumes = (await storage.volumes(place, call)).map(shownVolume);
      return { status: 200, body: { total: volumes.length, volumes } };
    },
  );
  addVolumeCreation(router, deps);
  addVolumeRemoval(router, backend);
}

function shownPool({ pool, driver, status, totalBytes, usedBytes }: Pool) {
  const [total_bytes, used_bytes] = [totalBytes ?? null, usedBytes ?? null];
  return { name: pool, driver, status, total_bytes, used_bytes };
}

function shownVolume({ volume, pool, project, createdAt, sizeBytes, usedBy }: Volume) {
  const [created_at, size_bytes] = [createdAt ?? null, sizeBytes ?? null];
  return { name: volume, pool, project, created_at, size_bytes, used_by: usedBy };
}

function addPoolChanges(router: Router, deps: StorageDeps): void {
  const { storage } = deps.backend;
  router.route(
    {
      method: "post",
      path: POOLS,
      permission: "storage:write",
      summary: "makes a storage pool",
      body: z.strictObject({
        name: nameSchema,
        driver: nameSchema,
        size_bytes: sizeSchema.optional(),
      }),
      answers: { 201: poolSchema },
      mutates: { action: "StoragePoolCreated", resource: "storage" },
    },
    async (call) => {
      const { name: pool, driver, size_bytes: sizeBytes } = call.body;
      await deps.backend.host.must({ ability: "create storage pools" }, call);
      const subject = { id: pool, summary: `Made the storage pool ${pool}`, facts: { driver } };
      const work = async () => {
        const made = await storage.createPool({ pool, driver, sizeBytes });
        return { status: 201, body: shownPool(made) } as const;
      };
      return operate(call, subject, work, async () => {
        mustBeFree((await findPool(storage, pool, call)) !== undefined, `pool ${pool}`);
      });
    },
  );
  router.route(
    {
      method: "delete",
      path: `${POOLS}/:pool`,
      permission: "storage:delete",
      summary: "removes an empty storage pool",
      params: z.strictObject({ pool: nameSchema }),
      answers: { 204: "nothing" },
      mutates: { action: "StoragePoolDeleted", resource: "storage" },
    },
    async (call) => {
      const { pool } = call.params;
      await deps.backend.host.must({ ability: "remove storage pools" }, call);
      const subject = { id: pool, summary: `Removed the storage pool ${pool}` };
      const work = async () => {
        await storage.removePool({ pool });
        return { status: 204 } as const;
      };
      return operate(call, subject, work, async () => {
        mustBeThere(await findPool(storage, pool, call), `pool ${pool}`);
        for (const project of await projectsOf(deps.operations.database)) {
          const volumes = await storage.volumes({ pool, project }, call);
          mustBeUnused(volumes.length > 0, `pool ${pool}`);
        }
      });
    },
  );
}

async function findPool({ pools }: Storage, pool: string, call: Asking): Promise<Pool | undefined> {
  return (await pools({}, call)).find((each) => each.pool === pool);
}

async function findVolume(
  { volumes }: Storage,
  {
    volume,
    ...place
  }: { readonly pool: string; readonly project: string; readonly volume: string },
  call: Asking,
): Promise<Volume | undefined> {
  return (await volumes(place, call)).find((each) => each.volume === volume);
}

/** Those that we know of: a backend tells volumes by project. */
async function projectsOf(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ project: string }>(
    "SELECT project FROM hypervisor_vdcs ORDER BY project",
  );
  return [DEFAULT_PROJECT, ...rows.map(({ project }) => project)];
}

function addVolumeCreation(router: Router, deps: StorageDeps): void {
  const { storage } = deps.backend;
  router.route(
    {
      method: "post",
      path: VOLUMES,
      permission: "storage:write",
      summary: "makes a volume in a pool",
      query: projectQuery,
      body: z.strictObject({
        name: nameSchema,
        pool: nameSchema,
        size_bytes: sizeSchema.optional(),
      }),
      answers: { 201: volumeSchema },
      mutates: { action: "StorageVolumeCreated", resource: "storage" },
    },
    async (call) => {
      const { name: volume, pool, size_bytes: sizeBytes } = call.body;
      const place = { project: call.project(call.query.project), pool, volume };
      if (sizeBytes !== undefined)
        await deps.backend.host.must({ ability: "limit the size of a volume" }, call);
      const more = { diskBytes: sizeBytes ?? Infinity };
      const hasRoom = await roomFor(deps, place.project, more);
      await deps.operations.database.inTransaction(hasRoom);
      const subject = { id: `${pool}/${volume}`, summary: `Made the volume ${volume} in ${pool}` };
      const work = async () => {
        const made = await storage.createVolume({ ...place, sizeBytes });
        return { status: 201, body: shownVolume(made) } as const;
      };
      return operate(call, { ...subject, facts: { project: place.project } }, work, async () => {
        mustBeThere(await findPool(storage, pool, call), `pool ${pool}`);
        mustBeFree((await findVolume(storage, place, call)) !== undefined, `volume ${volume}`);
      });
    },
  );
}

function addVolumeRemoval(router: Router, { storage }: Backend): void {
  router.route(
    {
      method: "delete",
      path: `${VOLUMES}/:volume`,
      permission: "storage:delete",
      summary: "removes a volume that nobody uses, with what is in it",
      params: z.strictObject({ volume: nameSchema }),
      query: inPool,
      answers: { 204: "nothing" },
      mutates: { action: "StorageVolumeDeleted", resource: "storage" },
    },
    async (call) => {
      const { pool } = call.query;
      const place = { project: call.project(call.query.project), pool, ...call.params };
      const id = `${pool}/${place.volume}`;
      const summary = `Removed the volume ${place.volume} of ${pool}`;
      const work = async () => {
        await storage.removeVolume(place);
        return { status: 204 } as const;
      };
      const subject = { id, summary, facts: { project: place.project } };
      return operate(call, subject, work, async () => {
        const what = `volume ${place.volume}`;
        const { usedBy } = mustBeThere(await findVolume(storage, place, call), what);
        mustBeUnused(usedBy > 0, what);
      });
    },
  );
}
