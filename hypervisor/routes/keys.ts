import { z } from "zod";
import type { Database } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { KeySource } from "../auth/keys.ts";
import { listKeys, rotateKeys } from "../auth/stored-keys.ts";
import type { Router } from "../frame/router.ts";

interface KeyDeps {
  readonly database: Database;
  readonly keys: KeySource;
}

const keySchema = z
  .object({ kid: z.string(), created_at: z.string(), signs: z.boolean() })
  .meta({ id: "SigningKey" });
const rotateSchema = z
  .strictObject({
    /** The keys before are believed no more: somebody else may have them. */
    revoke: z.boolean().default(false),
  })
  .optional();

/** `/auth/keys`: what access tokens are signed with. */
export function addKeyRoutes(router: Router, { database, keys }: KeyDeps): void {
  router.route(
    {
      method: "get",
      path: "/auth/keys",
      permission: "system:admin",
      summary: "the keys whose access tokens are believed; the newest signs",
      answers: { 200: z.object({ keys: z.array(keySchema) }) },
    },
    async () => {
      requireStored(keys);
      const rows = await listKeys(database);
      const shown = rows.map(({ kid, created_at: at }, nth) => ({
        kid,
        created_at: at.toISOString(),
        signs: nth === 0,
      }));
      return { status: 200, body: { keys: shown } };
    },
  );
  router.route(
    {
      method: "post",
      path: "/auth/keys/rotate",
      permission: "system:admin",
      summary:
        "signs with a new key from now on; tokens of the old one are good until they are over",
      body: rotateSchema,
      answers: { 201: z.object({ kid: z.string() }) },
      mutates: { action: "SigningKeyRotated", resource: "system" },
    },
    async (call) => {
      const revoke = call.body?.revoke ?? false;
      const summary = revoke
        ? "Made a new signing key, and revoked those before"
        : "Made a new signing key";
      const answer = await call.change(
        { id: "signing-key", summary, facts: { revoke } },
        async (tx) => {
          requireStored(keys);
          return { status: 201, body: { kid: await rotateKeys(tx, { revoke }) } };
        },
      );
      await keys.again(); // here at once; the other replicas look within seconds
      return answer;
    },
  );
}

function requireStored({ stored }: KeySource): void {
  if (stored) return;
  const detail = "The keys are those of HYPERVISOR_JWT_KEY_FILE: replace the files, and restart.";
  throw new HttpProblem(409, "Conflict", detail);
}
