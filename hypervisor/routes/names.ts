import { z } from "zod";

/** Names of containers, projects, snapshots, pools and volumes; what a backend allows may be less. */
export const nameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, {
    error:
      "must be 1 to 63 letters, digits, dots, dashes or underscores, the first a letter or digit",
  })
  .meta({ id: "Name" });

/** Of whoever says none: the platform's own. */
export const DEFAULT_PROJECT = "default";

/** `?project=`. */
export const projectQuery = z.strictObject({ project: nameSchema.default(DEFAULT_PROJECT) });
