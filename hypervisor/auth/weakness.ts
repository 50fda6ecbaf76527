import { createRequire } from "node:module";
import type * as core from "@zxcvbn-ts/core";
import type * as common from "@zxcvbn-ts/language-common";
import { PASSWORD_LENGTH } from "./password.ts";

/** Shorter names are in many words. */
const NAME_CHARACTERS_MIN = 3;
/** 10^8 guesses and more, by zxcvbn's measure: none that is common, or a common one with a year and a sign. */
const SCORE_MIN = 3;
/** Of a longer one the beginning is enough: it has to be strong by itself, and the time grows with its square. */
const LOOKED_AT_MAX = 64;
/** What is tried first at this door. */
const OURS = ["fettle", "hypervisor", "administrator"];

/** Whose password it is to be. */
export interface Owner {
  readonly username: string;
  readonly email?: string | undefined;
}

/**
 * Why nobody should have this password; undefined when it is good enough. As NIST SP 800-63B wants it: a length, nothing
 * of the person's, nothing that is common (50,000 of leaked lists, and what is made of them), and no rules about kinds
 * of characters.
 */
export function weakness(password: string, owner: Owner): string | undefined {
  const { min, max } = PASSWORD_LENGTH;
  const { length } = Array.from(password); // characters, not halves of them
  if (length < min || length > max) return `must have ${min} to ${max} characters`;
  const lower = password.normalize("NFKC").toLowerCase();
  const { username, email = "" } = owner;
  if (holds(lower, username)) return "must not have the user's name in it";
  const [local = ""] = email.split("@");
  if (holds(lower, local)) return "must not have the user's e-mail address in it";
  if (new Set(lower).size < 5) return "must not be a few characters again and again";
  const { score } = estimate().check(lower.slice(0, LOOKED_AT_MAX), [...OURS, username, email]);
  return score < SCORE_MIN ? "must not be made of what everybody tries first" : undefined;
}

function holds(password: string, name: string): boolean {
  return name.length >= NAME_CHARACTERS_MIN && password.includes(name.toLowerCase());
}

let estimator: core.ZxcvbnFactory | undefined;

/** Read when the first password is chosen: the lists take 20 MB, and most processes never need them. */
function estimate(): core.ZxcvbnFactory {
  if (estimator !== undefined) return estimator;
  const require = createRequire(import.meta.url);
  const { ZxcvbnFactory } = require("@zxcvbn-ts/core") as typeof core;
  const lists = require("@zxcvbn-ts/language-common") as typeof common;
  const { dictionary, adjacencyGraphs: graphs } = lists;
  estimator = new ZxcvbnFactory({ dictionary, graphs, maxLength: LOOKED_AT_MAX });
  return estimator;
}
