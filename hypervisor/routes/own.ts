import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { ProofDeps } from "../auth/prove-password.ts";
import type { Router } from "../frame/router.ts";
import { changePassword, checkNewPassword } from "../people/change-password.ts";
import { passwordSchema } from "../people/names.ts";
import { expand } from "../permissions.ts";

const meSchema = z
  .object({
    name: z.string(),
    via: z.string(),
    role: z.string(),
    organization: z.string().nullable(),
    permissions: z.array(z.string()),
    must_change_password: z.boolean(),
  })
  .meta({ id: "Me" });

/** What is one's own: `/auth/me`, and the password. */
export function addOwnRoutes(router: Router, deps: ProofDeps): void {
  router.route(
    {
      method: "get",
      path: "/auth/me",
      permission: "signed-in",
      summary: "who I am here, and what I may do",
      answers: { 200: meSchema },
    },
    async ({ principal }) => {
      const { name, via, role, organization = null, permissions, withheld } = principal;
      const granted = withheld === undefined ? [...expand(permissions)] : [];
      const must = withheld !== undefined;
      const body = {
        name,
        via,
        role,
        organization,
        permissions: granted,
        must_change_password: must,
      };
      return Promise.resolve({ status: 200, body });
    },
  );
  addPassword(router, deps);
}

function addPassword(router: Router, deps: ProofDeps): void {
  router.route(
    {
      method: "post",
      path: "/auth/password",
      permission: "signed-in",
      summary:
        "changes my password, ends my other sessions and revokes my API tokens; refresh afterwards",
      body: z.strictObject({
        current_password: z.string().min(1).max(256),
        new_password: passwordSchema,
        /** My API tokens stay: nobody else knew the old password. */
        keep_tokens: z.boolean().default(false),
      }),
      answers: { 204: "nothing" },
      mutates: {
        action: "UserPasswordChanged",
        resource: "user",
        secretAnswer: true, // else the next change with the same key would look done
        secretFields: ["current_password", "new_password"],
      },
    },
    async (call) => {
      const { name } = call.principal;
      const { keep_tokens: keepTokens } = call.body;
      const checked = await checkNewPassword(deps, call, call.body);
      const facts = { tokens: keepTokens ? "kept" : "revoked" };
      return call.change({ id: name, summary: "Changed the password", facts }, async (tx) => {
        if (checked instanceof HttpProblem) throw checked; // within the change, so that it is on record
        await changePassword(tx, call.principal, checked, keepTokens);
        return { status: 204 };
      });
    },
  );
}
