// Tests that the check finds problems. Needs CACHE, the folder for downloads.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { bindings, check, names } from "./check.mjs";
import { blocks } from "./hcl.mjs";

const sources = { old: bindings(process.env.CACHE), new: names() };
const GOOD = `
resource "azurerm_storage_container" "this" {
  name               = "x"
  storage_account_id = "y" # or another
}
`;
const problems = (text) => check(text, "a.tf", sources);

test("a good file has no problem", () => assert.deepEqual(problems(GOOD), []));

test("an argument that does not exist is found, with its line", () => {
  const found = problems(GOOD.replace("name  ", "nome  "));
  assert.ok(found.includes("a.tf:3: old: azurerm_storage_container.this has no `nome`"), found.join("\n"));
  assert.ok(found.includes("a.tf:3: new: azurerm_storage_container.this has no `nome`"), found.join("\n"));
});

test("an argument that is missing is found", () => {
  const found = problems(GOOD.replace(/ {2}name .*\n/, ""));
  assert.deepEqual(found, [
    "a.tf:2: old: azurerm_storage_container.this needs `name`",
    "a.tf:2: new: azurerm_storage_container.this needs `name`",
  ]);
});

test("names that 5.x has dropped are found", () => {
  for (const [type, name] of [
    ["azurerm_storage_container", "storage_account_name"],
    ["azurerm_key_vault", "enable_rbac_authorization"],
    ["azurerm_eventgrid_system_topic", "source_arm_resource_id"],
  ]) {
    const found = problems(`resource "${type}" "x" {\n  ${name} = 1\n}`);
    assert.ok(found.includes(`a.tf:2: new: ${type}.x.${name} is gone in 5.x`), found.join("\n"));
  }
});

test("a resource that does not exist is found", () => {
  assert.equal(problems('resource "azurerm_storage_box" "x" {}').length, 2);
});

test("blocks are looked into, dynamic ones too", () => {
  const app = readFileSync(new URL("../monitoring.tf", import.meta.url), "utf8");
  assert.deepEqual(problems(app), []);
  assert.equal(problems(app.replace("category = enabled_log", "categori = enabled_log")).length, 2);
  assert.ok(problems(app.replace("threshold               = 0", "")).some((it) => it.includes("criteria needs `threshold`")));
  assert.ok(problems(app.replaceAll("metric_namespace ", "metric_space ")).some((it) => it.includes("has no `metric_space`")));
});

test("a block that is missing is found, with the line of what needs it", () => {
  const app = readFileSync(new URL("../main.tf", import.meta.url), "utf8");
  assert.deepEqual(problems(app), []);
  const found = problems(app.replace(/\n {2}site_config \{[^}]*\n {2}\}\n/, "\n"));
  const line = app.split("\n").findIndex((it) => it.includes('"azurerm_function_app_flex_consumption" "this"')) + 1;
  assert.deepEqual(found, [
    `a.tf:${line}: old: azurerm_function_app_flex_consumption.this needs \`site_config\``,
    `a.tf:${line}: new: azurerm_function_app_flex_consumption.this needs \`site_config\``,
  ]);
});

test("a name that only one of both releases has is found", () => {
  const insights = `resource "azurerm_application_insights" "x" {
  name                          = "x"
  location                      = "x"
  resource_group_name           = "x"
  application_type              = "web"
  local_authentication_disabled = true
}`;
  assert.deepEqual(problems(insights), ["a.tf:6: new: azurerm_application_insights.x.local_authentication_disabled is gone in 5.x"]);
  assert.deepEqual(problems(insights.replace("disabled = true", "enabled  = false")), [
    "a.tf:6: old: azurerm_application_insights.x has no `local_authentication_enabled`",
  ]);
});

test("an argument written as a block is found", () => {
  const found = problems(GOOD.replace('name               = "x"', "name {}"));
  assert.ok(found.includes("a.tf:3: old: azurerm_storage_container.this.name is an argument, not a block"), found.join("\n"));
});

test("texts, comments and expressions do not mislead", () => {
  const text = `
locals {
  a = "}\${join("{", ["}"])}" /* { */
  b = {
    c = 1 # }
  }
  d = <<-EOT
    resource "azurerm_x" "y" {
  EOT
  e = a == b ? { x = 1 } : {}
}
resource "azurerm_x" "z" { count = 1 }
`;
  const all = blocks(text, "a.tf");
  assert.deepEqual(all.map((it) => it.name), ["locals", "resource"]);
  assert.deepEqual(all[0].attributes.map((it) => it.name), ["a", "b", "d", "e"]);
  assert.deepEqual(all[1].labels, ["azurerm_x", "z"]);
});

test("a file that does not end is an error with its place", () => {
  assert.throws(() => blocks("resource \"a\" \"b\" {\n  x = 1\n", "a.tf"), /a\.tf:\d+: a block does not end/);
});
