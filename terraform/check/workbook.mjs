// Checks workbook.json: its form, by the parts of Microsoft's schema that it uses (schema/workbook.json in
// github.com/microsoft/Application-Insights-Workbooks), and the names in its queries. The portal reads a workbook without
// complaints: a misspelled key has no effect, and a misspelled metric is an empty chart.

import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const crates = join(root, "..", "crates");

// The schema as data: a type by its name, a constant in an array of its values, `[form]` with one form for lists, and an
// object for objects. `!` behind a name says that it is needed. Unlike Microsoft's, it knows no other names.
const FORMATTER = {
  "columnMatch!": "string",
  "formatter!": "integer",
  formatOptions: {
    thresholdsOptions: "string",
    thresholdsGrid: [{ "operator!": "string", "thresholdValue!": "any", "representation!": "string", "text!": "string" }],
  },
};
const ITEM = { "name!": "string", customWidth: "string" };
const ITEMS = {
  1: { "json!": "string", style: "string" },
  3: {
    "version!": ["KqlItem/1.0"],
    "query!": "string",
    "size!": "integer",
    "title!": "string",
    timeContext: { "durationMs!": "integer" },
    timeContextFromParameter: "string",
    // 0 is a query of logs.
    "queryType!": [0],
    "resourceType!": ["microsoft.insights/components"],
    "visualization!": ["table", "tiles", "piechart", "barchart", "linechart", "timechart", "areachart"],
    "noDataMessage!": "string",
    noDataMessageStyle: "integer",
    chartSettings: {
      seriesLabelSettings: [{ "seriesName!": "string", label: "string", color: "string" }],
      ySettings: { unit: "integer", min: "number", max: "number", numberFormatSettings: { "unit!": "integer", options: "any" } },
    },
    gridSettings: { formatters: [FORMATTER], filter: "boolean", rowLimit: "integer" },
  },
  9: {
    "version!": ["KqlParameterItem/1.0"],
    "parameters!": [
      {
        "id!": "string",
        "version!": ["KqlParameterItem/1.0"],
        "name!": "string",
        label: "string",
        // 4 is a time range.
        "type!": [4],
        isRequired: "boolean",
        "typeSettings!": { "selectableValues!": [{ "durationMs!": "integer" }], allowCustom: "boolean" },
        "value!": { "durationMs!": "integer" },
      },
    ],
    style: ["pills", "above", "formHorizontal", "formVertical"],
    queryType: [0],
    resourceType: ["microsoft.insights/components"],
  },
};
const ROOT = { "version!": ["Notebook/1.0"], "items!": "list", isLocked: "boolean", fallbackResourceIds: ["any"], $schema: "string" };

/** The problems of a workbook, each with its place. */
export function problems(workbook) {
  const found = [];
  const report = (place, message) => found.push(`${place}: ${message}`);
  follows(workbook, ROOT, "workbook", report);
  const items = Array.isArray(workbook?.items) ? workbook.items : [];
  const names = new Set();
  for (const [at, item] of items.entries()) {
    const place = `items[${at}]`;
    const content = ITEMS[item?.type];
    if (content === undefined) {
      report(place, `the type ${item?.type} is none of ${Object.keys(ITEMS).join(", ")}`);
      continue;
    }
    follows(item, { "type!": [item.type], "content!": content, ...ITEM }, place, report);
    if (names.has(item.name)) report(place, `a second item has the name ${item.name}`);
    names.add(item.name);
  }
  parameters(items, report);
  return found;
}

/** Compares a value with its form. */
function follows(value, form, place, report) {
  if (form === "any") return;
  if (typeof form === "string") {
    if (kind(value) !== form && !(form === "number" && kind(value) === "integer")) report(place, `is ${kind(value)}, not ${form}`);
  } else if (Array.isArray(form) && typeof form[0] !== "object" && form[0] !== "any") {
    if (!form.includes(value)) report(place, `is ${JSON.stringify(value)}, none of ${form.join(", ")}`);
  } else if (Array.isArray(form)) {
    if (!Array.isArray(value)) return report(place, `is ${kind(value)}, not list`);
    value.forEach((one, at) => follows(one, form[0], `${place}[${at}]`, report));
  } else {
    members(value, form, place, report);
  }
}

function members(value, form, place, report) {
  if (kind(value) !== "object") return report(place, `is ${kind(value)}, not object`);
  const forms = new Map(Object.entries(form).map(([name, it]) => [name.replace(/!$/, ""), it]));
  for (const [name, one] of Object.entries(value)) {
    if (forms.has(name)) follows(one, forms.get(name), `${place}.${name}`, report);
    else report(place, `has the unknown member \`${name}\``);
  }
  for (const name of Object.keys(form).filter((it) => it.endsWith("!")).map((it) => it.slice(0, -1))) {
    if (!(name in value)) report(place, `needs \`${name}\``);
  }
}

function kind(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  if (Number.isInteger(value)) return "integer";
  return typeof value;
}

/** Each query has one time range, and uses only parameters that exist. */
function parameters(items, report) {
  const known = new Set(items.filter((it) => it.type === 9).flatMap((it) => (it.content?.parameters ?? []).map((one) => one.name)));
  for (const [at, { type, content }] of items.entries()) {
    if (type !== 3 || typeof content?.query !== "string") continue;
    const { query, timeContext, timeContextFromParameter: range } = content;
    if ((range === undefined) === (timeContext === undefined)) report(`items[${at}]`, "needs one time range");
    const used = [...query.matchAll(/\{(\w+)(?::\w+)?\}/g)].map((match) => match[1]);
    for (const name of [...used, ...(range ? [range] : [])]) {
      if (!known.has(name)) report(`items[${at}]`, `there is no parameter ${name}`);
    }
  }
}

/** The queries of a workbook, by the names of their items. */
export function queries(workbook) {
  return Object.fromEntries(workbook.items.filter((it) => it.type === 3).map((it) => [it.name, it.content.query]));
}

/** The names in a query: metrics and their attributes, fields of log lines, verdicts, events, and beginnings of texts. */
export function used(query) {
  const all = (pattern) => [...query.matchAll(pattern)].map((match) => match[1]);
  const texts = (pattern) => all(pattern).flatMap((list) => [...list.matchAll(/'([^']*)'/g)].map((match) => match[1]));
  return {
    metrics: all(/'(keyrelay\.[\w.]+)'/g),
    attributes: all(/customDimensions(?:\.|\[')([\w.]+)/g),
    fields: all(/\bline(?:\.|\[')([\w.]+)/g),
    verdicts: [...texts(/\bverdict in \(([^)]*)\)/g), ...all(/\bverdict [!=]= '([^']*)'/g)],
    prefixes: all(/\bwords !?startswith '([^']*)'/g),
    events: [...all(/\bevent !?endswith '(\w+)'/g), ...all(/\)\(([\w|]+)\)\$/g).flatMap((list) => list.split("|"))],
  };
}

/** The metrics that keyrelay sends, with their attributes. */
export function exported() {
  const text = sources(join(crates, "host", "src", "telemetry"));
  const found = new Map();
  for (const match of text.matchAll(/= instrument\(\s*"([\w.]+)",\s*InstrumentKind::\w+,\s*"[^"]*",\s*&\[([^\]]*)\]/g)) {
    found.set(match[1], [...match[2].matchAll(/"([\w.]+)"/g)].map((it) => it[1]));
  }
  return found;
}

/** The text of all source files in a folder, for names that must be in one of them. */
export function sources(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries.filter((it) => it.isFile() && it.name.endsWith(".rs")).map((it) => readFileSync(join(it.parentPath ?? it.path, it.name), "utf8")).join("\n");
}

/** The source of a crate. */
export function crate(name) {
  return sources(join(crates, name, "src"));
}

/** A file of the module. */
export function file(name) {
  return readFileSync(join(root, name), "utf8");
}
