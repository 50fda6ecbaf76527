import { BlockList, isIP } from "node:net";

/** The proxies whose word about a client's certificate counts. */
export interface TrustedProxies {
  /** @param address of the connection itself, never one that a header tells */
  includes(address: string | undefined): boolean;
}

/** @throws Error for an entry that is no address and no CIDR block */
export function trustedProxies(entries: readonly string[]): TrustedProxies {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/");
    const family = familyOf(address);
    if (family === undefined || !/^\d{1,3}$/.test(bits ?? "32"))
      throw new Error(`${JSON.stringify(entry)} is no IP address and no CIDR block`);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return {
    includes: (address) => {
      if (address === undefined) return false;
      const plain = address.replace(/^::ffff:(?=\d+\.)/i, ""); // an IPv4 client of a socket for both families
      const family = familyOf(plain);
      return family !== undefined && list.check(plain, family);
    },
  };
}

function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  const version = isIP(address);
  return version === 4 ? "ipv4" : version === 6 ? "ipv6" : undefined;
}
