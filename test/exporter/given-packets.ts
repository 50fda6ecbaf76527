/** Tag and version of the packets, read by hand: [[1, 3], [18, 1]] is PKESK v3, SEIPD v1. */
export function packets(message: Buffer): [tag: number, version: number][] {
  const found: [number, number][] = [];
  for (let at = 0; at < message.length;) {
    const head = message[at] ?? 0;
    const isOld = (head & 0x40) === 0; // gpg writes the first packets in the old format
    const tag = isOld ? (head >> 2) & 0x0f : head & 0x3f;
    const { lengthBytes, length } = isOld ? oldLength(message, at) : newLength(message, at);
    found.push([tag, message[at + 1 + lengthBytes] ?? 0]);
    if (tag === 18 || tag === 20) return found; // the rest is its body
    at += 1 + lengthBytes + length;
  }
  return found;
}

function oldLength(message: Buffer, at: number) {
  const lengthBytes = 1 << ((message[at] ?? 0) & 3);
  return { lengthBytes, length: message.readUIntBE(at + 1, lengthBytes) };
}

function newLength(message: Buffer, at: number) {
  const first = message[at + 1] ?? 0;
  if (first < 192) return { lengthBytes: 1, length: first };
  if (first < 224) {
    return { lengthBytes: 2, length: (first - 192) * 256 + (message[at + 2] ?? 0) + 192 };
  }
  return { lengthBytes: first < 255 ? 1 : 5, length: 0 };
}
