import { expect, test } from "@jest/globals";
import { trustedProxies } from "../../runbooks/trusted-proxies.ts";

test.each<[string | undefined, boolean]>([
  ["10.1.2.3", true],
  ["::ffff:10.1.2.3", true],
  ["10.2.0.1", false],
  ["192.0.2.7", true],
  ["192.0.2.8", false],
  ["fd00::9", true],
  ["fd01::9", false],
  ["not an address", false],
  [undefined, false],
])("the connection from %s is trusted: %s", (address, expected) => {
  const proxies = trustedProxies(["10.1.0.0/16", "192.0.2.7", "fd00::/64"]);

  expect(proxies.includes(address)).toBe(expected);
});

test("without an entry nobody is trusted", () => {
  expect(trustedProxies([]).includes("127.0.0.1")).toBe(false);
});

test.each(["ingress", "10.0.0.0/99", "10.0.0.0/", ""])("%j is refused", (entry) => {
  expect(() => trustedProxies([entry])).toThrow();
});
