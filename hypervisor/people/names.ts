import { z } from "zod";
import { PASSWORD_LENGTH } from "../auth/password.ts";
import { isPattern, type PermissionPattern } from "../permissions.ts";

const NAME = "must be lower-case letters, digits, dots, dashes or underscores, 1 to 64 characters";

/** What stands in audit rows, paths and tokens: no two names look alike, and none is a path. */
export const usernameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._@-]{0,62}[a-z0-9])?$/, { error: NAME })
  .meta({ id: "Username" });

/** An id of an organization or a VDC, also part of names in backends. */
export const slugSchema = z
  .string()
  .regex(/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/, {
    error:
      "must be lower-case letters, digits and dashes, beginning with a letter, 1 to 63 characters",
  })
  .meta({ id: "Slug" });

export const roleNameSchema = z
  .string()
  .regex(/^[A-Za-z][\w-]{0,63}$/, { error: "must be letters, digits, dashes or underscores" });

export const emailSchema = z
  .string()
  .max(254)
  .refine((text) => text === "" || /^[^\s@<>"]+@[^\s@<>"]+$/.test(text), {
    error: "must be an address such as ana@example.com",
  });

/** An account at an identity provider (OpenID Connect Core, 2: `sub` has at most 255 ASCII characters). */
export const subjectSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, { error: "must be 1 to 255 printable characters without blanks" });

/** One line for people. */
export const lineSchema = z
  .string()
  .max(256)
  .regex(/^[^\r\n\t]*$/, { error: "must be one line" });

export const passwordSchema = z
  .string()
  .min(PASSWORD_LENGTH.min, { error: `must have ${PASSWORD_LENGTH.min} characters or more` })
  .max(PASSWORD_LENGTH.max, { error: `must have ${PASSWORD_LENGTH.max} characters or less` });

const PERMISSIONS_MAX = 200;

export const permissionsSchema = z
  .array(z.string().refine(isPattern, { error: "is no permission; GET /api/v1/roles lists them" }))
  .max(PERMISSIONS_MAX)
  .meta({ override: { type: "array", items: { type: "string" } } }) as z.ZodType<
  PermissionPattern[],
  string[]
>;
