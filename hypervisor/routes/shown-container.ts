import { z } from "zod";
import type { Container } from "../backends/types.ts";
import { etagOf } from "../frame/etag.ts";

/** As the API shows a container; runbooks reads `name`, `id`, `status` and `started_at`. */
export const containerSchema = z
  .object({
    name: z.string(),
    project: z.string(),
    id: z.string(),
    status: z.string(),
    created_at: z.string(),
    started_at: z.string().nullable(),
    image: z.string().nullable(),
    cpus: z.number().nullable(),
    memory_bytes: z.number().nullable(),
    disk_bytes: z.number().nullable(),
    labels: z.record(z.string(), z.string()),
    addresses: z.array(z.string()),
    node: z.string().nullable(),
  })
  .meta({ id: "Container" });

export function shownContainer(container: Container): z.input<typeof containerSchema> {
  const { name, project, id, status, createdAt, labels, addresses } = container;
  return {
    name,
    project,
    id,
    status,
    created_at: createdAt,
    started_at: container.startedAt ?? null,
    image: container.image ?? null,
    cpus: container.cpus ?? null,
    memory_bytes: container.memoryBytes ?? null,
    disk_bytes: container.diskBytes ?? null,
    labels: { ...labels },
    addresses: [...addresses],
    node: container.node ?? null,
  };
}

/** A whole answer about one container, with its version for If-Match. */
export function containerAnswer<const S extends number>(
  status: S,
  container: Container,
): {
  readonly status: S;
  readonly body: z.input<typeof containerSchema>;
  readonly headers: Readonly<Record<string, string>>;
} {
  const { revision } = container;
  return { status, body: shownContainer(container), headers: { ETag: etagOf(revision) } };
}
