/** Longer lines come in pieces of this. */
const LINE_CHARACTERS_MAX = 16_384;

/** Bytes that come in any pieces, as lines without their ends. */
export interface LineSplitter {
  push(bytes: Buffer): readonly string[];
  /** The line that has no end yet, if there is one. */
  rest(): readonly string[];
}

export function splitLines(): LineSplitter {
  const decoder = new TextDecoder(); // a character may be cut by the pieces
  let open = "";
  return {
    push: (bytes) => {
      const pieces = `${open}${decoder.decode(bytes, { stream: true })}`.split("\n");
      open = pieces.pop() ?? "";
      const lines = pieces.flatMap(cut);
      while (open.length >= LINE_CHARACTERS_MAX) {
        lines.push(open.slice(0, LINE_CHARACTERS_MAX));
        open = open.slice(LINE_CHARACTERS_MAX);
      }
      return lines;
    },
    rest: () => {
      const last = cut(open + decoder.decode());
      open = "";
      return last.filter((line) => line !== "");
    },
  };
}

function cut(line: string): string[] {
  const text = line.replace(/\r+$/, "");
  const pieces = [text.slice(0, LINE_CHARACTERS_MAX)];
  for (let at = LINE_CHARACTERS_MAX; at < text.length; at += LINE_CHARACTERS_MAX) {
    pieces.push(text.slice(at, at + LINE_CHARACTERS_MAX));
  }
  return pieces;
}
