// The part of HCL that is needed to find the names and their lines: blocks, arguments, and the ends of values.

/** The blocks of a file, with their labels, arguments and blocks, each with its line. */
export function blocks(text, file) {
  const reader = new Reader(text, file);
  const body = reader.body(true);
  return body.blocks;
}

const NAME = /[\p{ID_Start}_][\p{ID_Continue}-]*/uy;

class Reader {
  constructor(text, file) {
    this.text = text;
    this.file = file;
    this.at = 0;
  }

  get line() {
    return this.text.slice(0, this.at).split("\n").length;
  }

  fail(what) {
    throw new Error(`${this.file}:${this.line}: ${what}`);
  }

  /** Goes over white space and comments. */
  space(newlines = true) {
    const pattern = newlines ? /(?:\s|#[^\n]*|\/\/[^\n]*|\/\*[^]*?\*\/)*/y : /(?:[ \t]|\/\*[^]*?\*\/)*/y;
    this.take(pattern);
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match) {
      this.at = pattern.lastIndex;
    }
    return match?.[0];
  }

  body(isFile) {
    const body = { attributes: [], blocks: [] };
    for (;;) {
      this.space();
      if (this.at >= this.text.length) {
        return isFile ? body : this.fail("a block does not end");
      }
      if (this.text[this.at] === "}") {
        if (isFile) this.fail("a `}` too many");
        this.at += 1;
        return body;
      }
      const line = this.line;
      const name = this.take(NAME) ?? this.fail("expected a name");
      this.space(false);
      if (this.text[this.at] === "=" && this.text[this.at + 1] !== "=") {
        this.at += 1;
        this.value();
        body.attributes.push({ name, line });
        continue;
      }
      const labels = [];
      while (this.text[this.at] !== "{") {
        const label = this.take(/"[^"\n]*"/y) ?? this.take(NAME) ?? this.fail(`expected = or { behind ${name}`);
        labels.push(label.replaceAll('"', ""));
        this.space(false);
      }
      this.at += 1;
      body.blocks.push({ name, labels, line, ...this.body(false) });
    }
  }

  /** Goes over a value: to the end of its line, or of what it has opened. */
  value() {
    let depth = 0;
    for (;;) {
      const c = this.text[this.at];
      if (c === undefined || (depth === 0 && (c === "\n" || c === "}"))) {
        if (c === undefined && depth > 0) this.fail("a value does not end");
        return;
      }
      if (c === '"') {
        this.string();
      } else if (this.text.startsWith("<<", this.at)) {
        this.heredoc();
      } else if (c === "#" || this.text.startsWith("//", this.at)) {
        this.take(/[^\n]*/y);
      } else if (this.text.startsWith("/*", this.at)) {
        this.take(/\/\*[^]*?\*\//y) ?? this.fail("a comment does not end");
      } else {
        if ("([{".includes(c)) depth += 1;
        if (")]}".includes(c)) depth -= 1;
        this.at += 1;
      }
    }
  }

  string() {
    this.at += 1;
    while (this.text[this.at] !== '"') {
      if (this.at >= this.text.length) this.fail("a text does not end");
      if (this.text[this.at] === "\\") {
        this.at += 2;
      } else if (this.text.startsWith("$${", this.at) || this.text.startsWith("%%{", this.at)) {
        this.at += 3;
      } else if (this.text.startsWith("${", this.at) || this.text.startsWith("%{", this.at)) {
        this.at += 2;
        this.value();
        this.at += 1;
      } else {
        this.at += 1;
      }
    }
    this.at += 1;
  }

  heredoc() {
    const start = this.take(/<<-?[\w-]+\n/y);
    if (!start) {
      this.at += 2;
      return;
    }
    const word = start.replace(/<<-?/, "").trim();
    const end = new RegExp(`[^]*?^[ \\t]*${word}$`, "my");
    if (!this.take(end)) this.fail("a text does not end");
  }
}
