import { expect, test } from "@jest/globals";
import { actionNames } from "../../runbooks/actions/index.ts";
import { parsePolicyFile } from "../../runbooks/backtest/policy-file.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";

const CONTEXT = {
  environment: parsePolicy("cost=rollout_restart", actionNames),
  actions: actionNames,
};

function keysOf(text: string): readonly string[] {
  return parsePolicyFile(text, CONTEXT).entries.map(({ key }) => key);
}

test.each([
  ["rules alone", "a=rollout_restart\n# and\nb:c=rollout_restart{mode=shadow}\n", ["env"]],
  [
    "a map of keys",
    'shop.*: a=rollout_restart\n"*.pay": b=rollout_restart',
    ["*.pay", "shop.*", "env"],
  ],
  [
    "a ConfigMap",
    "kind: ConfigMap\napiVersion: v1\nmetadata: { name: p }\ndata: { shop._any: a=rollout_restart, default: b=rollout_restart }",
    ["default", "shop.*", "env"],
  ],
  [
    "a ConfigMap with the whole policy under one key",
    'data: { policy.yaml: "shop.*: a=rollout_restart" }\nkind: ConfigMap',
    ["shop.*", "env"],
  ],
])("reads %s", (_what, text, keys) => {
  expect(keysOf(text)).toEqual(keys);
});

test("another text is another version, and says that it comes from a file", () => {
  const [one, other] = ["a=rollout_restart", "b=rollout_restart"].map((text) =>
    parsePolicyFile(text, CONTEXT),
  );

  expect(one?.source).toBe("file");
  expect(one?.sha256).not.toBe(other?.sha256);
});

test("a rule that cannot be read is named with its key and place", () => {
  expect(() => keysOf("shop.*: a=explode")).toThrow(
    /policy\.yaml: shop\.\*.*line 1, column 3.*explode/,
  );
});
