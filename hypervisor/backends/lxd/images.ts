interface ImageSource {
  readonly type: "image";
  readonly alias?: string;
  readonly fingerprint?: string;
  readonly server?: string;
  readonly protocol?: "simplestreams";
}

/** Those that `lxc launch` and `incus launch` know by these names. Others must be on the host already. */
const SERVERS: Readonly<Record<string, string>> = {
  images: "https://images.linuxcontainers.org",
  ubuntu: "https://cloud-images.ubuntu.com/releases",
};

/** `alias` or a fingerprint of an image on the host, or `images:debian/12` and `ubuntu:24.04`, which LXD fetches. */
export function imageSource(image: string): ImageSource {
  const [, remote = "", alias = ""] = /^([a-z]+):(.+)$/.exec(image) ?? [];
  const server = Object.hasOwn(SERVERS, remote) ? SERVERS[remote] : undefined;
  if (server !== undefined) return { type: "image", alias, server, protocol: "simplestreams" };
  if (/^[0-9a-f]{12,64}$/.test(image)) return { type: "image", fingerprint: image };
  return { type: "image", alias: image };
}
