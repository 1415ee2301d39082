// Tests of workbook.json and of the queries of the alerts: they can only show what keyrelay sends.

import assert from "node:assert/strict";
import { test } from "node:test";

import { crate, exported, file, problems, queries, used } from "./workbook.mjs";

const workbook = () => JSON.parse(file("workbook.json"));
const alerts = file("monitoring.tf");
const all = { ...queries(workbook()), alerts };
const names = (kind) => new Set(Object.values(all).flatMap((query) => used(query)[kind]));
const changed = (change) => {
  const copy = workbook();
  change(copy);
  return problems(copy);
};

test("the workbook follows the schema", () => assert.deepEqual(problems(workbook()), []));

test("the workbook has each topic of the overview", () => {
  for (const name of ["rotations", "evidence", "behind", "expiring", "notices", "refusals"]) {
    assert.ok(name in all, `${name} is missing`);
  }
});

test("each metric in a query is exported, with the attributes that the query uses", () => {
  const known = exported();
  assert.ok(known.size >= 9, `only ${known.size} metrics were found in the source`);
  assert.ok(names("metrics").size >= 5);
  for (const [item, query] of Object.entries(all)) {
    const { metrics, attributes } = used(query);
    metrics.forEach((metric) => assert.ok(known.has(metric), `${item}: no metric ${metric} is exported`));
    const theirs = new Set(metrics.flatMap((metric) => known.get(metric)));
    attributes.forEach((attribute) => assert.ok(theirs.has(attribute), `${item}: ${metrics.join(", ")} has no attribute ${attribute}`));
  }
});

test("each field in a query is logged", () => {
  const source = crate("records");
  // The formatter of log lines adds these two.
  const fields = [...names("fields")].filter((field) => !["level", "message"].includes(field));
  assert.ok(fields.length >= 7, fields.join(", "));
  fields.forEach((field) => assert.match(source, new RegExp(`^\\s*${field.replaceAll(".", "\\.")} = `, "m"), `no line has the field ${field}`));
});

test("each verdict and each event in a query exists", () => {
  const source = crate("model");
  assert.ok(names("verdicts").size >= 6 && names("events").size === 4, [...names("verdicts"), ...names("events")].join(", "));
  [...names("verdicts"), ...names("events")].forEach((word) => assert.ok(source.includes(`=> "${word}"`), `model has no ${word}`));
});

test("each text that a query looks for is in the source", () => {
  const source = crate("host");
  assert.deepEqual([...names("prefixes")].sort(), ["policy quarantined"]);
  names("prefixes").forEach((text) => assert.ok(source.includes(`"${text}`), `no text begins with ${text}`));
});

test("the workbook reads log lines as the alerts do", () => {
  const [, ofAlerts] = /lines = <<-KQL\n([^]*?)\n {2}KQL/.exec(alerts);
  const lines = `${ofAlerts.replace(/^ {4}/gm, "")}\n`;
  const readers = Object.entries(queries(workbook())).filter(([, query]) => query.includes("traces"));
  assert.ok(readers.length >= 4);
  readers.forEach(([item, query]) => assert.ok(query.startsWith(lines), `${item} begins differently`));
});

test("a member that is misspelled, missing or of another type is found", () => {
  const item = (content) => ({ type: 3, content, name: "x" });
  const query = workbook().items.findIndex((it) => it.name === "behind");
  assert.deepEqual(changed((it) => (it.items[query].content.visualisation = "table")), [
    `items[${query}].content: has the unknown member \`visualisation\``,
  ]);
  assert.deepEqual(changed((it) => delete it.items[query].content.query), [`items[${query}].content: needs \`query\``]);
  assert.deepEqual(changed((it) => (it.items[query].content.size = "0")), [`items[${query}].content.size: is string, not integer`]);
  assert.deepEqual(changed((it) => (it.items[query].content.visualization = "pie")).length, 1);
  assert.deepEqual(changed((it) => (it.items[query].content.gridSettings.formatters[0].columnMatch = 1)), [
    `items[${query}].content.gridSettings.formatters[0].columnMatch: is integer, not string`,
  ]);
  assert.ok(changed((it) => it.items.push(item({}))).length > 5);
  assert.deepEqual(problems(null), ["workbook: is null, not object"]);
  assert.deepEqual(problems({ version: "Notebook/1.0", items: {} }), ["workbook.items: is object, not list"]);
});

test("an item of another type, or with the name of another one, is found", () => {
  assert.deepEqual(changed((it) => (it.items[0].type = 2)), ["items[0]: the type 2 is none of 1, 3, 9"]);
  assert.deepEqual(changed((it) => (it.items[0].name = it.items[1].name)), [`items[1]: a second item has the name ${workbook().items[1].name}`]);
});

test("a query without its time range, or with a parameter that does not exist, is found", () => {
  const at = workbook().items.findIndex((it) => it.name === "rotations-over-time");
  assert.deepEqual(changed((it) => delete it.items[at].content.timeContextFromParameter), [`items[${at}]: needs one time range`]);
  const found = changed((it) => (it.items[at].content.query = it.items[at].content.query.replace("{TimeRange:", "{Range:")));
  assert.deepEqual(found, [`items[${at}]: there is no parameter Range`]);
});

test("the names in a query are found", () => {
  const query = `lines | where verdict in ('failed', 'rolled back') or verdict == 'refused' | where event !endswith 'Expired'
    | where name == 'keyrelay.rotations' | extend a = customDimensions['policy.name'], b = line['app.id'], c = line.level
    | where event matches regex @'(Secret|Key)(NearExpiry|Expired)$' and words !startswith 'policy quarantined'`;
  assert.deepEqual(used(query), {
    metrics: ["keyrelay.rotations"],
    attributes: ["policy.name"],
    fields: ["app.id", "level"],
    verdicts: ["failed", "rolled back", "refused"],
    prefixes: ["policy quarantined"],
    events: ["Expired", "NearExpiry", "Expired"],
  });
});
