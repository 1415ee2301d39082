// Tests that the tables for readers name what the module has: variables, outputs and alerts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { blocks } from "./hcl.mjs";
import { file } from "./workbook.mjs";

const EVERY = { PT5M: "5 minutes", PT15M: "15 minutes", PT1H: "an hour" };
const labels = (name, type) => blocks(file(name), name).filter((it) => it.name === type).map((it) => it.labels[0]);
const quoted = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]);

/** The rows of the first table below a heading, each as its cells. */
function table(text, heading) {
  const [, below] = text.split(`\n## ${heading}\n`);
  const [rows] = /^\|[^]*?(?=\n(?!\|))/m.exec(below);
  return rows.split("\n").slice(2).map((row) => row.replaceAll(/^\| *| *\|$/g, "").split(" | "));
}

/** The alerts in monitoring.tf: those on logs by their form, and those on metrics with the values of their resource. */
function alerts() {
  const text = file("monitoring.tf");
  const logs = [...text.matchAll(/^ {4}([\w-]+) = \{\n {6}description = .*\n {6}severity {4}= (\d)[^]*?\n {6}frequency *= "(\w+)"/gm)];
  const metrics = [...text.matchAll(/^ {4}([\w-]+) += \{ metric = /gm)];
  const [, severity, frequency] = /"dead_letter" \{[^]*?severity += (\d)[^]*?frequency += "(\w+)"/.exec(text);
  return new Map([
    ...logs.map(([, name, ...rest]) => [name, rest]),
    ...metrics.map(([, name]) => [name, [severity, frequency]]),
  ]);
}

test("the README has each variable, and no other", () => {
  const rows = table(file("README.md"), "Variables").flatMap(([names]) => quoted(names));
  assert.deepEqual(rows.sort(), labels("variables.tf", "variable").sort());
});

test("the README has each output, and no other", () => {
  // `system_topic_id` is in the row of `system_topic_ids`.
  const rows = table(file("README.md"), "Outputs").flatMap(([names]) => quoted(names));
  assert.deepEqual([...rows, "system_topic_id"].sort(), labels("outputs.tf", "output").sort());
});

test("the README has each alert", () => {
  const rows = table(file("README.md"), "Alerts").flatMap(([names]) => quoted(names));
  assert.deepEqual(rows.map((name) => name.replace("KEY-", "")).sort(), [...alerts().keys()].sort());
});

test("docs/alerts.md has each alert, with its severity and its interval", () => {
  const rows = table(file("../docs/alerts.md"), "The alerts").flatMap(([names, severity, , every]) =>
    quoted(names).map((name) => [name, severity, every]),
  );
  const expected = [...alerts()].map(([name, [severity, frequency]]) => [name, severity, EVERY[frequency]]);
  assert.equal(expected.length, 9);
  assert.deepEqual(rows.sort(), expected.sort());
});

test("docs/alerts.md has each metric of the workbook", () => {
  const rows = table(file("../docs/alerts.md"), "The workbook").flatMap((cells) => quoted(cells.at(-1)));
  const metrics = [...file("workbook.json").matchAll(/'(keyrelay\.[\w.]+)'/g)].map((match) => match[1]);
  assert.deepEqual(new Set(rows), new Set(metrics));
});
