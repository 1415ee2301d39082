"""Compares recorded exchanges with the contracts that Microsoft publishes, and exits with 1 if one differs.

Usage: contracts.py SPECS RECORD. SPECS is a checkout of azure-rest-api-specs (OpenAPI 2.0), and RECORD is a file that
`keyrelay local --record` has written. Requires the package jsonschema. `cargo xtask clients --specs` runs this.

An operation is found by its method and path. Of its versions, the one with the exchange's api-version is used, or else
the nearest: the newest of those before it, or the oldest after it. What is compared:

- the parameters: required ones are there, none is unknown, and each has its type, pattern and permitted values;
- the body of a request with its schema;
- the status: it is one of the operation's, unless the operation has a default response;
- the body of a response with the schema of its status, errors included.

As in Azure, additional properties are permitted, an open enumeration (`modelAsString`) permits other values, and a null
in a response is a property that is not there. Properties that only the service sets are not required in requests.
A request that was rejected may be wrong on purpose, so only its response is compared. Microsoft's own clients may send
null for a property that is not there, and keyrelay-host may not.
"""

import collections
import functools
import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urljoin

from jsonschema import Draft4Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

# The traffic of blob storage and of the paths below /local is not recorded: the first is Azurite's, the second the
# stand-in's own.
EXCLUDED = {
    "identity": "the identity endpoint of App Service has no published contract",
    "log-analytics": "Log Analytics is no part of the checkout",
}
EXCLUDED_PATHS = [
    (re.compile("^/metadata/endpoints$"), "the list of a cloud's endpoints is not in the contracts"),
    (re.compile("/config/configreferences/[^/]+/refresh$"), "the refresh of references is not in the contracts"),
]
# The paths of operations on resources of any type. Each type has a contract of its own.
ANY_RESOURCE = re.compile(r"^/\{[^}]*\}$|\{parentResourcePath\}")
OWN = "keyrelay-host"
# The keys whose values have names as keys, not keywords.
MAPS = ("definitions", "parameters", "paths", "properties", "responses", "x-ms-paths")
EXAMPLES = ("example", "examples", "x-ms-examples")
METHODS = ("get", "put", "post", "patch", "delete", "head")
# Parameters that Azure documents for all operations of a service, or that the pages of a list have.
COMMON_PARAMETERS = {"$skiptoken", "$skipToken"}
# The stand-in's own prefix, for clients that cannot set the host.
VAULT_PREFIX = re.compile(r"^/vaults/[^/]+(?=/)")
FORMATS = FormatChecker(["date", "ipv4", "ipv6", "uuid"])


@FORMATS.checks("date-time")
def is_date_time(text):
    # App Service omits the time zone of some dates.
    return not isinstance(text, str) or bool(re.fullmatch(r"[\d-]{10}T[\d:]{8}(\.\d+)?(Z|[+-]\d\d:\d\d)?", text))


class Located:
    """A value in a document, and its place. A reference is followed."""

    def __init__(self, uri, pointer):
        while True:
            value = read(uri)
            for part in pointer.strip("/").split("/"):
                part = part.replace("~1", "/").replace("~0", "~")
                value = value[int(part)] if isinstance(value, list) else value[part]
            if "$ref" not in value:
                break
            file, _, pointer = value["$ref"].partition("#")
            uri = urljoin(uri, file)
        self.uri, self.pointer, self.value = uri, pointer, value

    def schema(self):
        return self.uri, self.pointer + "/schema"


class Operation:
    """An operation of one contract."""

    def __init__(self, uri, document, paths, template, method):
        item = document[paths][template]
        path = f"/{paths}/{escaped(template)}"
        at = f"{path}/{method}"
        self.is_of_vault = "x-ms-parameterized-host" in document
        self.id = item[method]["operationId"]
        self.version = document["info"]["version"]
        self.names = re.findall(r"\{([^}]*)\}", template.split("?")[0])
        self.path = re.compile(pattern(template), re.IGNORECASE)
        self.literals = len(re.sub(r"\{[^}]*\}", "", template))
        self.responses = list(item[method]["responses"])
        self.at_responses = (uri, f"{at}/responses")
        self.at_parameters = [(uri, f"{path}/parameters/{it}") for it in range(len(item.get("parameters", [])))]
        self.at_parameters += [(uri, f"{at}/parameters/{it}") for it in range(len(item[method].get("parameters", [])))]

    @functools.cached_property
    def parameters(self):
        return [Located(*it) for it in self.at_parameters]

    def response(self, status):
        uri, pointer = self.at_responses
        return Located(uri, f"{pointer}/{status}")


def pattern(template):
    """The regular expression of a path template, with a group for each parameter."""
    regex = ""
    for number, part in enumerate(re.split(r"\{([^}]*)\}", template.split("?")[0].rstrip("/"))):
        if number % 2 == 0:
            regex += re.escape(part)
        elif part == "secret-version":
            # "This URI fragment is optional", says the contract of Key Vault.
            regex = regex.removesuffix("/") + "(?:/([^/]*))?"
        else:
            # A scope is the path of another resource.
            regex += "(.+)" if part in ("scope", "resourceId") else "([^/]+)"
    return f"^{regex}/?$"


def escaped(text):
    return text.replace("~", "~0").replace("/", "~1")


@functools.cache
def read(uri):
    return json.loads(Path(unquote(uri.removeprefix("file://"))).read_text(encoding="utf-8-sig"))


def adapted(node, in_request, is_map=False):
    """A document with its schemas of OpenAPI as ones of JSON Schema. The keys of a map are names, not keywords."""
    if isinstance(node, list):
        return [adapted(it, in_request) for it in node]
    if not isinstance(node, dict):
        return node
    if is_map:
        return {key: adapted(value, in_request) for key, value in node.items()}
    node = {key: adapted(value, in_request, key in MAPS) for key, value in node.items() if key not in EXAMPLES}
    named = node.get("properties")
    if isinstance(named, dict):
        node.setdefault("type", "object")
        required = [it for it in node.pop("required", []) if is_sent(named.get(it, {}), in_request)]
        # An empty list is not permitted.
        node |= {"required": required} if required else {}
    if node.get("x-ms-enum", {}).get("modelAsString"):
        node.pop("enum", None)
    if node.get("type") == "file":
        del node["type"]
    return node


def is_sent(schema, in_request):
    """Whether a property that is required is sent in this direction."""
    if not isinstance(schema, dict):
        return True
    if in_request:
        return not schema.get("readOnly", False)
    return "read" in schema.get("x-ms-mutability", ["read"])


class Schemas:
    """The schemas of one direction."""

    def __init__(self, in_request):
        self.in_request = in_request
        self.registry = Registry(retrieve=self.retrieve)

    def retrieve(self, uri):
        return Resource(contents=adapted(read(uri), self.in_request), specification=DRAFT4)

    def errors(self, instance, uri, pointer):
        # The registry is immutable: without this line, it would read each file again.
        self.registry = self.registry.get_or_retrieve(uri).registry
        reference = {"$ref": f"{uri}#{pointer.replace('{', '%7B').replace('}', '%7D')}"}
        validator = Draft4Validator(reference, registry=self.registry, format_checker=FORMATS)
        for error in validator.iter_errors(instance):
            where = "/".join(str(it) for it in error.absolute_path)
            yield f"{where or 'the body'}: {shortened(error.message)}"


def shortened(text):
    return text if len(text) < 200 else text[:200] + "..."


def without_nulls(node):
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    if isinstance(node, list):
        return [without_nulls(it) for it in node]
    return node


def order(version):
    """The sort key of a version. Previews come before their stable version, and Key Vault's 7.x before 2025."""
    numbers = [int(it) for it in re.findall(r"\d+", version.split("-preview")[0])]
    return ([2024] if numbers[0] < 100 else []) + numbers, "preview" not in version


def nearest(operations, version):
    """The operation with this version, or with the nearest one."""
    exact = [it for it in operations if it.version == version]
    if exact or version is None:
        return max(exact or operations, key=lambda it: order(it.version))
    stable = [it for it in operations if "preview" not in it.version] or operations
    before = [it for it in stable if order(it.version) <= order(version)]
    if before:
        return max(before, key=lambda it: order(it.version))
    return min(stable, key=lambda it: order(it.version))


class Contracts:
    """All operations of a checkout."""

    def __init__(self, folder):
        self.operations = collections.defaultdict(list)
        self.requests = Schemas(in_request=True)
        self.responses = Schemas(in_request=False)
        for file in sorted(Path(folder).resolve().glob("specification/**/*.json")):
            if "examples" in file.parts:
                continue
            document = read(file.as_uri())
            if isinstance(document, dict) and document.get("swagger") == "2.0":
                self.add(file, document)

    def add(self, file, document):
        for paths in ("paths", "x-ms-paths"):
            for template, item in document.get(paths, {}).items():
                for method in METHODS:
                    if "operationId" in item.get(method, {}) and not ANY_RESOURCE.search(template):
                        operation = Operation(file.as_uri(), document, paths, template, method)
                        self.operations[method].append(operation)

    def operation(self, request, version):
        path = VAULT_PREFIX.sub("", request["path"]) if request["service"] == "key-vault" else request["path"]
        found = []
        for operation in self.operations[request["method"].lower()]:
            if operation.is_of_vault == (request["service"] == "key-vault") and operation.path.match(path):
                found.append(operation)
        if not found:
            return None
        most = max(it.literals for it in found)
        return nearest([it for it in found if it.literals == most], version)

    def differences(self, operation, exchange):
        """What differs between an exchange and its contract."""
        request, response = exchange["request"], exchange["response"]
        if response["status"] < 400:
            yield from (f"request: {it}" for it in self.of_parameters(operation, request))
            yield from (f"request: {it}" for it in self.of_request_body(operation, request))
        yield from (f"response {response['status']}: {it}" for it in self.of_response(operation, response))

    def of_parameters(self, operation, request):
        query = dict(parse_qsl(request["query"] or "", keep_blank_values=True))
        path = operation.path.match(VAULT_PREFIX.sub("", request["path"]))
        in_path = dict(zip(operation.names, path.groups()))
        parameters = [it.value for it in operation.parameters]
        known = {it["name"] for it in parameters if it["in"] == "query"}
        for name in query.keys() - known - COMMON_PARAMETERS:
            yield f"the contract has no parameter `{name}`"
        for parameter in parameters:
            values = {"query": query, "path": in_path}.get(parameter["in"], {})
            name = parameter["name"]
            if parameter["in"] == "header":
                values, name = request["headers"], name.lower()
            value = values.get(name)
            if value is None:
                if parameter.get("required") and parameter["in"] in ("query", "header"):
                    yield f"the parameter `{name}` is missing"
            elif name != "api-version":
                yield from (f"the parameter `{name}`: {it}" for it in of_value(parameter, unquote(value)))

    def of_request_body(self, operation, request):
        parameter = next((it for it in operation.parameters if it.value["in"] == "body"), None)
        if parameter is None:
            if request["body"].strip() not in ("", "{}"):
                yield "the contract has no body"
        elif not request["body"]:
            if parameter.value.get("required"):
                yield "the body is missing"
        else:
            body = json.loads(request["body"])
            body = body if client(request) == OWN else without_nulls(body)
            yield from self.requests.errors(body, *parameter.schema())

    def of_response(self, operation, response):
        status = str(response["status"])
        name = status if status in operation.responses else "default"
        if name not in operation.responses:
            yield f"the contract has only {', '.join(operation.responses)}"
            return
        if response["status"] < 300 and name == "default":
            yield f"this success is not in the contract, which has {', '.join(operation.responses)}"
        contract = operation.response(name)
        schema = contract.value.get("schema")
        if schema is None or schema.get("type") == "file":
            return
        if not response["body"]:
            yield "the body is missing"
            return
        try:
            body = json.loads(response["body"])
        except ValueError:
            yield "the body is not JSON"
            return
        yield from self.responses.errors(without_nulls(body), *contract.schema())


def of_value(parameter, text):
    """What differs between the text of a parameter and its type."""
    schema = {key: parameter[key] for key in ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum")
              if key in parameter}
    if parameter.get("x-ms-enum", {}).get("modelAsString"):
        schema.pop("enum", None)
    value = text
    if parameter.get("type") in ("integer", "number", "boolean"):
        schema["type"] = parameter["type"]
        try:
            value = json.loads(text)
        except ValueError:
            pass
    return [shortened(it.message) for it in Draft4Validator(schema).iter_errors(value)]


def client(request):
    agent = request["headers"].get("user-agent", "")
    for part, name in [("keyrelay/", OWN), ("AZURECLI/", "az"), ("azsdk-python", "the libraries")]:
        if part in agent:
            return name
    return agent or "an unknown client"


def main(specs, record):
    contracts = Contracts(specs)
    checked, missing, excluded, failures = (collections.Counter() for _ in range(4))
    other_versions = 0
    for line in Path(record).read_text().splitlines():
        exchange = json.loads(line)
        request = exchange["request"]
        what = f"{request['method']} {request['path']}"
        reason = EXCLUDED.get(request["service"]) or next(
            (reason for path, reason in EXCLUDED_PATHS if path.search(request["path"])), None)
        if reason:
            excluded[reason] += 1
            continue
        version = dict(parse_qsl(request["query"] or "")).get("api-version")
        operation = contracts.operation(request, version)
        if operation is None and exchange["response"]["status"] >= 400 and client(request) != OWN:
            excluded["the client was told that there is no such operation, and Microsoft publishes none"] += 1
            continue
        if operation is None:
            missing[f"{what} ({client(request)})"] += 1
            continue
        name = f"{operation.id} {operation.version}"
        is_other = operation.version != version
        other_versions += is_other
        checked[f"{name}, for {version}" if is_other else name] += 1
        for difference in contracts.differences(operation, exchange):
            failures[f"{name} ({client(request)}): {difference}"] += 1
    print_counts("exchanges that were checked", checked)
    print(f"of them compared with another version, because theirs is not in the checkout: {other_versions}")
    print_counts("exchanges that were excluded", excluded)
    print_counts("MISSING: exchanges without a published operation", missing)
    print_counts("DIFFERENT: exchanges that differ from their contract", failures)
    if not checked:
        sys.exit("no exchange was checked")
    if missing or failures:
        sys.exit(1)
    print("all exchanges agree with their contracts")


def print_counts(title, counts):
    if counts:
        print(f"{title}: {counts.total()}")
    for what, count in sorted(counts.items()):
        print(f"  {count:4} {what}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
