import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { canonicalJson, sha256Hex } from "../../lib/canonical.ts";

test("does not depend on the order of the keys", () => {
  expect(canonicalJson({ b: [1, { d: null, c: "x" }], a: undefined, e: new Date(0) })).toBe(
    '{"b":[1,{"c":"x","d":null}],"e":"1970-01-01T00:00:00.000Z"}',
  );
});

test("means the same as the value, for whatever JSON can hold", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const plain: unknown = JSON.parse(JSON.stringify(value));
      expect(JSON.parse(canonicalJson(plain))).toEqual(plain);
    }),
  );
});

test.each([NaN, Infinity, 1n, () => undefined])("refuses %p, which JSON does not have", (value) => {
  expect(() => canonicalJson({ value })).toThrow(TypeError);
});

test("hashes as sha256sum does", () => {
  expect(sha256Hex("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
