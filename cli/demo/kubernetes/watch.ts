import type { ServerResponse } from "node:http";
import { selected } from "./list.ts";
import { apiVersionOf, RESOURCES } from "./resources.ts";
import { shownObject } from "./shown.ts";
import type { Change, Store } from "./store.ts";
import { StatusError } from "./status.ts";
import type { Target } from "./types.ts";

/** As long as a watch lasts when the client says nothing; a real server ends it after 30 to 60 minutes. */
const WATCH_SECONDS = 1_800;

/**
 * Answers a watch: a line of JSON for each change after `resourceVersion`, 410 when that is forgotten, and a clean end
 * after `timeoutSeconds`.
 *
 * @throws StatusError 400 for a selector that cannot be read
 */
export function watchObjects(
  store: Store,
  { resource, namespace, name }: Target,
  query: Readonly<Record<string, string>>,
  response: ServerResponse,
): void {
  const matches = selected(query);
  const send = (type: string, object: unknown) =>
    response.write(`${JSON.stringify({ type, object })}\n`);
  const tell = ({ resource: changed, type, object }: Change) => {
    if (changed !== resource || !matches(object)) return;
    if (namespace !== undefined && object.metadata.namespace !== namespace) return;
    if (name !== undefined && object.metadata.name !== name) return;
    send(type, shownObject(store, resource, object));
  };
  const from = query["resourceVersion"] ?? "";
  const missed =
    from === "" || from === "0" ? whole(store, { resource }) : store.since(Number(from));
  response.writeHead(200, { "content-type": "application/json" });
  if (missed === undefined) {
    const why = `too old resource version: ${from} (${store.revision})`;
    send("ERROR", new StatusError(410, "Expired", why).answer.body);
    response.end();
    return;
  }
  response.flushHeaders();
  missed.forEach(tell);
  const stop = store.listen(tell);
  const seconds = Number(query["timeoutSeconds"] ?? WATCH_SECONDS);
  const end = setTimeout(() => {
    if (query["allowWatchBookmarks"] === "true") {
      const { kind } = RESOURCES[resource];
      const metadata = { resourceVersion: store.revision };
      send("BOOKMARK", { kind, apiVersion: apiVersionOf(resource), metadata });
    }
    response.end();
  }, seconds * 1000).unref();
  response.on("close", () => {
    clearTimeout(end);
    stop();
  });
}

/** Without a version a watch begins with everything that is there. */
function whole(store: Store, { resource }: Pick<Target, "resource">): readonly Change[] {
  return store
    .list(resource)
    .map((object) => ({ revision: 0, resource, type: "ADDED" as const, object }));
}
