#!/usr/bin/env node
// Checks every resource, data source, block and argument in the .tf files without the provider: against the generated
// bindings of azurerm 4.55 (npm), and against the names of 4.81, where those that 5.x drops are marked.
//
//   node check.mjs CACHE [FOLDER...]
//
// CACHE is a folder for downloads. The exit code is 1 if there is a problem.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { blocks } from "./hcl.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const BINDINGS = "@cdktf/provider-azurerm@14.23.1";

// The meta-arguments: names that every resource of every provider accepts.
const META = new Set(["count", "depends_on", "for_each", "lifecycle", "provider", "provisioner", "connection", "timeouts"]);

/** The bindings: the arguments of a resource, by the names in configuration files. */
export class Bindings {
  constructor(jsii) {
    this.types = jsii.types;
    this.configs = new Map();
    // The class of a resource links to its page. Its arguments are in the class `Config` of the same name.
    for (const [name, type] of Object.entries(jsii.types)) {
      const match = /\/docs\/(resources|data-sources)\/(\w+) /.exec(type.docs?.summary ?? "");
      if (match && `${name}Config` in jsii.types) {
        this.configs.set(`${match[1] === "resources" ? "resource" : "data"}.azurerm_${match[2]}`, `${name}Config`);
      }
    }
  }

  arguments(kind, type) {
    const config = this.configs.get(`${kind}.${type}`);
    return config && this.members(config);
  }

  members(name) {
    const members = new Map();
    for (const property of this.types[name].properties ?? []) {
      members.set(snake(property.name), { required: !property.optional, block: this.blockOf(property.type) });
    }
    return members;
  }

  /** The members of a block, if the property is one. */
  blockOf(type) {
    const all = [type, ...(type.union?.types ?? []), type.collection?.elementtype ?? {}, ...(type.collection?.elementtype?.union?.types ?? [])];
    const nested = all.flatMap((it) => [it, it.collection?.elementtype ?? {}, ...(it.union?.types ?? [])]).map((it) => it.fqn);
    const fqn = nested.find((it) => it?.startsWith("@cdktf/provider-azurerm."));
    return fqn ? () => this.members(fqn) : undefined;
  }
}

/** The bindings write `http2Enabled` for `http2_enabled`. */
function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The names of a later release, as `names.py` wrote them. */
export class Names {
  constructor(names) {
    this.names = names;
  }

  arguments(kind, type) {
    const block = this.names[`${kind}.${type}`];
    return block && members(block);
  }
}

function members(block) {
  const all = new Map();
  for (const [name, it] of Object.entries(block)) {
    const required = name.endsWith("!");
    const plain = name.replace(/[!-]$/, "");
    all.set(plain, { required, dropped: name.endsWith("-"), block: it === null ? undefined : () => members(it) });
  }
  return all;
}

/** The problems in one file. */
export function check(text, file, sources) {
  const problems = [];
  for (const block of blocks(text, file)) {
    if ((block.name !== "resource" && block.name !== "data") || !block.labels[0]?.startsWith("azurerm_")) {
      continue;
    }
    for (const [source, known] of Object.entries(sources)) {
      const expected = known.arguments(block.name, block.labels[0]);
      if (expected === undefined) {
        problems.push(`${file}:${block.line}: ${source} has no ${block.name} ${block.labels[0]}`);
        continue;
      }
      inside(block, expected, block.labels.join("."), true, (line, message) => problems.push(`${file}:${line}: ${source}: ${message}`));
    }
  }
  return problems;
}

function inside(block, expected, path, isTop, report) {
  const found = new Set();
  for (const item of [...block.attributes, ...block.blocks]) {
    let { name } = item;
    let body = item;
    if (name === "dynamic" && item.labels) {
      name = item.labels[0];
      body = item.blocks.find((it) => it.name === "content");
    }
    if (isTop && META.has(name)) {
      continue;
    }
    found.add(name);
    const known = expected.get(name);
    if (known === undefined) {
      report(item.line, `${path} has no \`${name}\``);
    } else if (known.dropped) {
      report(item.line, `${path}.${name} is gone in 5.x`);
    } else if (body?.blocks !== undefined && known.block === undefined) {
      report(item.line, `${path}.${name} is an argument, not a block`);
    } else if (body?.blocks !== undefined) {
      inside(body, known.block(), `${path}.${name}`, false, report);
    }
  }
  for (const [name, known] of expected) {
    if (known.required && !found.has(name) && !(isTop && META.has(name))) {
      report(block.line, `${path} needs \`${name}\``);
    }
  }
}

/** The bindings, downloaded once. */
export function bindings(cache) {
  mkdirSync(cache, { recursive: true });
  const file = join(cache, "package", ".jsii");
  if (!existsSync(file)) {
    const options = { cwd: cache, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    const archive = execFileSync("npm", ["pack", "--silent", BINDINGS], options).trim().split("\n").pop();
    execFileSync("tar", ["-xzf", archive, "package/.jsii"], options);
  }
  return new Bindings(JSON.parse(readFileSync(file, "utf8")));
}

export function names() {
  return new Names(JSON.parse(readFileSync(join(here, "azurerm.json"), "utf8")));
}

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== ".terraform") {
      yield* files(path);
    } else if (entry.name.endsWith(".tf")) {
      yield path;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [cache, ...folders] = process.argv.slice(2);
  if (!cache) {
    console.error("usage: node check.mjs CACHE [FOLDER...]");
    process.exit(2);
  }
  const sources = { "azurerm 4.55": bindings(cache), "azurerm 4.81": names() };
  const all = (folders.length ? folders : [dirname(here)]).flatMap((folder) => [...files(folder)]);
  const problems = all.flatMap((file) => check(readFileSync(file, "utf8"), relative(process.cwd(), file), sources));
  problems.forEach((problem) => console.error(problem));
  const resources = all.reduce((sum, file) => sum + blocks(readFileSync(file, "utf8"), file).filter((it) => it.name === "resource").length, 0);
  console.log(`${all.length} files, ${resources} resources: ${problems.length} problems`);
  process.exit(problems.length || resources === 0 ? 1 : 0);
}
