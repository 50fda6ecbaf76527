import { z } from "zod";
import type { Database } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { findPerson, principalOf } from "../auth/person.ts";
import type { Router } from "../frame/router.ts";
import { usernameSchema } from "../people/names.ts";
import { noUser } from "../people/users.ts";
import { expand, explain, type Permission } from "../permissions.ts";

const ALL = new Set<string>(expand(["*"]));

const querySchema = z.strictObject({
  /** Left out: everything that the route table asks of the caller. */
  permission: z
    .string()
    .max(64)
    .refine((text) => ALL.has(text), { error: "is no permission; GET /api/v1/roles lists them" })
    .optional(),
  user: usernameSchema.optional(),
});
const verdictSchema = z
  .object({ permission: z.string(), allowed: z.boolean(), reason: z.string() })
  .meta({ id: "Verdict" });
const answerSchema = z.object({
  user: z.string(),
  role: z.string(),
  organization: z.string().nullable(),
  verdicts: z.array(verdictSchema),
});

/** `GET /api/v1/authz/explain?permission=&user=`: may I (or somebody) do this, and why not. */
export function addAuthzRoutes(
  router: Router,
  { database }: { readonly database: Database },
): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/authz/explain",
      permission: "signed-in",
      summary: "what I may do and why not; of other users with user:read",
      query: querySchema,
      answers: { 200: answerSchema },
    },
    async (call) => {
      const { principal } = call;
      const { permission, user } = call.query;
      let whose = principal;
      if (user !== undefined && user !== principal.name) {
        await call.require("user:read", user);
        const person = await findPerson(database, user);
        const { organization } = principal;
        if (
          person === undefined ||
          (organization !== undefined && person.organization !== organization)
        )
          throw noUser(user);
        if (!person.enabled)
          throw new HttpProblem(409, "Conflict", `${user} is disabled: nothing.`);
        whose = principalOf(person, { via: "session" });
      }
      const asked = permission === undefined ? [...ALL] : [permission];
      const verdicts = asked.map((each) => ({
        permission: each,
        ...explain(whose, each as Permission),
      }));
      const { name, role, organization = null } = whose;
      return { status: 200, body: { user: name, role, organization, verdicts } };
    },
  );
}
