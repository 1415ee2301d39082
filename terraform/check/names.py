#!/usr/bin/env python3
"""Writes azurerm.json from the provider's schema: names.py SCHEMA.

SCHEMA is what `terraform providers schema -json` prints. Only the names of what this repository uses are kept: `!` behind
a name says that it is a must, `-` that it is deprecated, which 5.x has removed.
"""

import json
import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent


def names(block):
    found = {}
    for name, attribute in block.get("attributes", {}).items():
        if attribute.get("computed") and not attribute.get("optional"):
            continue
        mark = "!" if attribute.get("required") else "-" if attribute.get("deprecated") else ""
        found[name + mark] = None
    for name, nested in block.get("block_types", {}).items():
        mark = "!" if nested.get("min_items", 0) > 0 else "-" if nested["block"].get("deprecated") else ""
        found[name + mark] = names(nested["block"])
    return dict(sorted(found.items()))


provider = next(iter(json.load(open(sys.argv[1]))["provider_schemas"].values()))
text = "\n".join(file.read_text() for file in here.parent.rglob("*.tf"))
used = sorted(set(re.findall(r'^(resource|data) "(azurerm_\w+)"', text, re.M)))
schemas = {"resource": provider["resource_schemas"], "data": provider["data_source_schemas"]}
missing = [name for kind, name in used if name not in schemas[kind]]
if missing:
    sys.exit(f"the schema does not have {', '.join(missing)}")
known = {f"{kind}.{name}": names(schemas[kind][name]["block"]) for kind, name in used}
(here / "azurerm.json").write_text(json.dumps(known, separators=(",", ":")).replace('},"resource.', '},\n"resource.') + "\n")
