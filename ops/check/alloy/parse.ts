/** A value of Alloy's language: what is in it, as far as references lead out of it. */
interface Value {
  /** Such as `loki.write.loki.receiver`. */
  readonly references: readonly string[];
}

/** `name "label" { … }` */
export interface Block {
  readonly name: string;
  readonly label: string | undefined;
  readonly attributes: ReadonlyMap<string, Value>;
  readonly blocks: readonly Block[];
}

type Body = Pick<Block, "attributes" | "blocks">;

const TOKEN =
  /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|`[^`]*`|[A-Za-z_]\w*|\d+(?:\.\d+)?|[=!<>]=|&&|\|\||[{}[\](),.=+\-*/%^!<>]/y;
const NAME = /^[A-Za-z_]\w*$/;
const CONSTANTS = ["true", "false", "null"];

/**
 * Reads Alloy's syntax (grafana.com/docs/alloy, "Configuration syntax"): blocks, attributes, and expressions as far as a
 * configuration without calculations has them.
 *
 * @throws Error that says where it is no such text
 */
export function parseAlloy(text: string): Body {
  const reader = new Reader(text);
  const body = bodyOf(reader);
  if (!reader.isAtEnd()) throw reader.unexpected();
  return body;
}

function bodyOf(reader: Reader): Body {
  const attributes = new Map<string, Value>();
  const blocks: Block[] = [];
  while (reader.isName()) {
    const name = dotted(reader);
    if (reader.take("=")) {
      if (attributes.has(name)) throw new Error(`${name} is set twice`);
      attributes.set(name, { references: expression(reader) });
    } else blocks.push(blockOf(name, reader));
  }
  return { attributes, blocks };
}

function blockOf(name: string, reader: Reader): Block {
  const label = reader.string();
  reader.expect("{");
  const body = bodyOf(reader);
  reader.expect("}");
  return { name, label, ...body };
}

function dotted(reader: Reader): string {
  let name = reader.name();
  while (reader.take(".")) name += `.${reader.name()}`;
  return name;
}

function expression(reader: Reader): readonly string[] {
  const first = operand(reader);
  return reader.take("+") ? [...first, ...expression(reader)] : first;
}

function operand(reader: Reader): readonly string[] {
  if (reader.string() !== undefined || reader.number()) return [];
  if (reader.take("[")) return items(reader, "]", () => expression(reader));
  if (reader.take("{"))
    return items(reader, "}", () => {
      if (reader.string() === undefined) reader.name();
      reader.expect("=");
      return expression(reader);
    });
  const name = dotted(reader);
  if (reader.take("(")) return items(reader, ")", () => expression(reader));
  return CONSTANTS.includes(name) ? [] : [name];
}

function items(reader: Reader, end: string, one: () => readonly string[]): readonly string[] {
  const found: string[] = [];
  while (!reader.take(end)) {
    found.push(...one());
    if (!reader.take(",")) {
      reader.expect(end);
      break;
    }
  }
  return found;
}

/** The tokens one after the other, blanks and comments left out. */
class Reader {
  readonly #tokens: { readonly text: string; readonly line: number }[] = [];
  #at = 0;

  constructor(text: string) {
    const token = new RegExp(TOKEN);
    let line = 1;
    while (token.lastIndex < text.length) {
      const from = token.lastIndex;
      const [found] = token.exec(text) ?? [];
      if (found === undefined) throw new Error(`line ${line}: ${text.slice(from, from + 20)}`);
      if (!/^(\s|\/\/|\/\*)/.test(found)) this.#tokens.push({ text: found, line });
      line += found.split("\n").length - 1;
    }
  }

  isAtEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  isName(): boolean {
    return NAME.test(this.#next());
  }

  take(token: string): boolean {
    if (this.#next() !== token) return false;
    this.#at += 1;
    return true;
  }

  expect(token: string): void {
    if (!this.take(token)) throw this.unexpected(token);
  }

  name(): string {
    if (!this.isName()) throw this.unexpected("a name");
    return this.#tokens[this.#at++]?.text ?? "";
  }

  /** Without its quotes; undefined, and nothing taken, when there is none. */
  string(): string | undefined {
    if (!/^["`]/.test(this.#next())) return undefined;
    return this.#tokens[this.#at++]?.text.slice(1, -1);
  }

  number(): boolean {
    if (!/^\d/.test(this.#next())) return false;
    this.#at += 1;
    return true;
  }

  unexpected(wanted = "a name"): Error {
    const { text, line } = this.#tokens[this.#at] ?? { text: "the end", line: "last" };
    return new Error(`line ${line}: ${text} where ${wanted} should be`);
  }

  #next(): string {
    return this.#tokens[this.#at]?.text ?? "";
  }
}
