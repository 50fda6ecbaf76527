import { z } from "zod";
import type { Backend, Pool, Volume } from "../backends/types.ts";
import type { Router } from "../frame/router.ts";
import { nameSchema, projectQuery } from "./names.ts";
import type { ContainerDeps } from "./container-deps.ts";
import { operate } from "./operate.ts";
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
  addPoolChanges(router, backend);
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
  addVolumeChanges(router, deps);
}

function shownPool({ pool, driver, status, totalBytes, usedBytes }: Pool) {
  const [total_bytes, used_bytes] = [totalBytes ?? null, usedBytes ?? null];
  return { name: pool, driver, status, total_bytes, used_bytes };
}

function shownVolume({ volume, pool, project, createdAt, sizeBytes, usedBy }: Volume) {
  const [created_at, size_bytes] = [createdAt ?? null, sizeBytes ?? null];
  return { name: volume, pool, project, created_at, size_bytes, used_by: usedBy };
}

function addPoolChanges(router: Router, { storage }: Backend): void {
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
      const subject = { id: pool, summary: `Made the storage pool ${pool}`, facts: { driver } };
      return operate(call, subject, async () => {
        const made = await storage.createPool({ pool, driver, sizeBytes });
        return { status: 201, body: shownPool(made) } as const;
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
      return operate(call, { id: pool, summary: `Removed the storage pool ${pool}` }, async () => {
        await storage.removePool({ pool });
        return { status: 204 } as const;
      });
    },
  );
}

function addVolumeChanges(router: Router, deps: StorageDeps): void {
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
      const more = { diskBytes: sizeBytes ?? Infinity };
      const hasRoom = await roomFor(deps, place.project, more);
      await deps.operations.database.inTransaction(hasRoom);
      const subject = { id: `${pool}/${volume}`, summary: `Made the volume ${volume} in ${pool}` };
      return operate(call, { ...subject, facts: { project: place.project } }, async () => {
        const made = await storage.createVolume({ ...place, sizeBytes });
        return { status: 201, body: shownVolume(made) } as const;
      });
    },
  );
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
      return operate(call, { id, summary, facts: { project: place.project } }, async () => {
        await storage.removeVolume(place);
        return { status: 204 } as const;
      });
    },
  );
}
