import { expect, test } from "@jest/globals";
import { messageOf } from "../../lib/error.ts";
import { requirePrivate } from "../../lib/private-file.ts";

const OURS = 1000;

test.each([
  { what: "ours alone", mode: 0o100600, uid: OURS, own: OURS, isPrivate: true },
  { what: "ours, readable by our group", mode: 0o100640, uid: OURS, own: OURS, isPrivate: false },
  { what: "a mounted Secret with an fsGroup", mode: 0o100440, uid: 0, own: OURS, isPrivate: true },
  {
    what: "a mounted Secret that all may read",
    mode: 0o100444,
    uid: 0,
    own: OURS,
    isPrivate: false,
  },
  { what: "root's, that our group may write", mode: 0o100660, uid: 0, own: OURS, isPrivate: false },
  { what: "root's own, readable by a group", mode: 0o100640, uid: 0, own: 0, isPrivate: false },
])("a key file that is $what: private is $isPrivate", ({ mode, uid, own, isPrivate }) => {
  const told = problemOf({ mode, uid }, own);

  expect(told === undefined).toBe(isPrivate);
  expect(told ?? "").toMatch(
    /^(|key file \/keys\/a has mode 0[46]\d\d: others may read it; run chmod 600)$/,
  );
});

function problemOf(rights: { mode: number; uid: number }, own: number): string | undefined {
  try {
    requirePrivate("/keys/a", rights, own);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
