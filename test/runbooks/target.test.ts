import { expect, test } from "@jest/globals";
import { appKeyOf, parseTargetKey, targetKeyOf } from "../../runbooks/types/target.ts";

const target = {
  cluster: "eu-1",
  namespace: "shop",
  kind: "deployment",
  name: "b",
  app: "checkout",
} as const;

test("a target's key names cluster, namespace, kind and name; its app has a key of its own", () => {
  expect(targetKeyOf(target)).toBe("eu-1/shop/deployment/b");
  expect(appKeyOf(target)).toBe("app:eu-1/shop/checkout");
});

test("a key is read back", () => {
  expect(parseTargetKey("eu-1/shop/deployment/b", "checkout")).toEqual(target);
});

test.each(["", "a/b/deployment", "a/b/pod/c", "a/b/deployment/c/d"])(
  "%j is no key of a target",
  (key) => {
    expect(() => parseTargetKey(key, "x")).toThrow("is no key of a target");
  },
);
