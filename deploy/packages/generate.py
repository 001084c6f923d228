#!/usr/bin/env python3
"""Writes what follows from the schemas: the types of the packages, and the table of members in
schemas/README.md. With `--check` it only compares."""

import json
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
SCHEMAS = HERE.parent.parent / "schemas"
PYTHON = HERE / "python/src/profile_projector/events.py"
TYPESCRIPT = HERE / "npm/src/events.ts"
PAGE = SCHEMAS / "README.md"
BEGIN, END = "<!-- members: generate.py writes them -->\n", "<!-- /members -->\n"


def upper(name):
    return name[0].upper() + name[1:]


def event_name(kind):
    """`ProfileUpdated` for `app.connvo.profile.updated.v1`."""
    _, _, family, change, _ = kind.split(".")
    return upper(family) + upper(change)


def declared():
    """Every type in an order in which each is known before it is used: name, schema."""
    read = lambda path: json.loads((SCHEMAS / path).read_text())
    for name, schema in read("events/common.json")["$defs"].items():
        yield upper(name), schema
    events = []
    for path in sorted((SCHEMAS / "events").glob("app.*.json")):
        schema = json.loads(path.read_text())
        name = event_name(path.stem)
        yield f"{name}Data", {"description": f"What {path.stem} carries.", **schema["$defs"]["data"]}
        schema["description"] = f"{path.stem}: {schema['title'][0].lower()}{schema['title'][1:]}."
        schema["properties"] = {
            member: {"$ref": f"{name}Data"} if member == "data" else value
            for member, value in schema["properties"].items()
        }
        yield name, schema
        events.append({"$ref": name})
    yield "Event", {"description": "An event in structured form.", "oneOf": events}
    yield "Profile", read("answer.json")["$defs"]["profile"]


def kinds_of(schema):
    """The JSON types of a schema, `null` among them."""
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


class TypeScript:
    PRIMITIVES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
    head = "// Made from the schemas by generate.py; do not edit.\n"

    def expression(self, schema):
        if "$ref" in schema:
            return upper(schema["$ref"].split("/")[-1])
        if "oneOf" in schema:
            return "".join(f"\n  | {self.expression(one)}" for one in schema["oneOf"])
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if values is not None:
            return " | ".join(json.dumps(value) for value in values)
        if "array" in kinds_of(schema):
            return f"{self.expression(schema['items'])}[]"
        return " | ".join(self.PRIMITIVES[kind] for kind in kinds_of(schema))

    def comment(self, schema, indent=""):
        text = schema.get("description")
        return f"{indent}/** {text} */\n" if text else ""

    def declaration(self, name, schema):
        text = self.comment(schema)
        if "properties" not in schema:
            expression = self.expression(schema)
            blank = "" if expression.startswith("\n") else " "
            return f"{text}export type {name} ={blank}{expression};\n"
        text += f"export interface {name} {{\n"
        for member, value in schema["properties"].items():
            optional = "" if member in schema.get("required", []) else "?"
            text += self.comment(value, "  ")
            text += f"  {member}{optional}: {self.expression(value)};\n"
        return text + "}\n"


class Python:
    PRIMITIVES = {"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"}
    head = (
        '"""The events and the answer, as the schemas have them. Made by generate.py; do not edit."""\n\n'
        "from typing import Literal, Optional, TypedDict, Union\n"
    )

    def expression(self, schema):
        if "$ref" in schema:
            return upper(schema["$ref"].split("/")[-1])
        if "oneOf" in schema:
            return "Union[\n" + "".join(f"    {self.expression(one)},\n" for one in schema["oneOf"]) + "]"
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if values is not None:
            return f"Literal[{', '.join('None' if value is None else json.dumps(value) for value in values)}]"
        if "array" in kinds_of(schema):
            return f"list[{self.expression(schema['items'])}]"
        kinds = [self.PRIMITIVES[kind] for kind in kinds_of(schema)]
        return f"Optional[{kinds[0]}]" if kinds[1:] == ["None"] else kinds[0]

    def declaration(self, name, schema):
        if "properties" not in schema:
            comment = f"#: {schema['description']}\n" if "description" in schema else ""
            return f"{comment}{name} = {self.expression(schema)}\n"
        required = schema.get("required", [])
        members = list(schema["properties"].items())
        always = [one for one in members if one[0] in required]
        perhaps = [one for one in members if one[0] not in required]
        if not perhaps:
            return self.of_members(name, "TypedDict", schema, always)
        if not always:
            return self.of_members(name, "TypedDict, total=False", schema, perhaps)
        base = f"_{name}Always"
        text = self.of_members(base, "TypedDict", {}, always)
        return text + "\n\n" + self.of_members(name, f"{base}, total=False", schema, perhaps)

    def of_members(self, name, base, schema, members):
        text = f"class {name}({base}):\n"
        if "description" in schema:
            text += f'    """{schema["description"]}"""\n\n'
        for member, value in members:
            if "description" in value:
                text += textwrap.indent(f"#: {value['description']}\n", "    ")
            text += f"    {member}: {self.expression(value)}\n"
        return text


class Table:
    """The members of the documents, for people."""

    TITLES = {"userState": "user", "profileState": "profile"}

    def kind(self, definitions, schema):
        if "$ref" in schema:
            return self.kind(definitions, definitions[schema["$ref"].split("/")[-1]])
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        if schema["type"] == "array":
            return f"list of {self.kind(definitions, schema['items'])}s"
        return schema["type"]

    def in_patch(self, schema):
        is_removable = "null" in kinds_of(schema) or None in schema.get("enum", [])
        return "a value or null" if is_removable else "a value"

    def rows(self):
        definitions = json.loads((SCHEMAS / "events/common.json").read_text())["$defs"]
        patched = definitions["profilePatch"]["properties"]
        yield "| document | member | always | JSON | in a patch | |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for definition, title in self.TITLES.items():
            schema = definitions[definition]
            for name, value in schema["properties"].items():
                always = "yes" if name in schema["required"] else ""
                patch = self.in_patch(patched[name]) if title == "profile" else ""
                milliseconds = value.get("$ref", "").endswith("/milliseconds")
                note = value.get("description", "milliseconds since the epoch" if milliseconds else "")
                cells = [title, f"`{name}`", always, self.kind(definitions, value), patch, note]
                yield f"| {' | '.join(cells)} |".replace("  ", " ").replace("  ", " ")

    def page(self):
        """The whole page with the table as the schemas say."""
        text = PAGE.read_text()
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        return before + BEGIN + "\n".join(self.rows()) + "\n" + END + after


def written(language, blank):
    declarations = [language.declaration(name, schema) for name, schema in declared()]
    return language.head + blank + blank.join(declarations)


def main():
    stale = []
    files = {
        PYTHON: written(Python(), "\n\n"),
        TYPESCRIPT: written(TypeScript(), "\n"),
        PAGE: Table().page(),
    }
    for path, text in files.items():
        if path.exists() and path.read_text() == text:
            continue
        if "--check" in sys.argv[1:]:
            stale.append(str(path))
        else:
            path.write_text(text)
    if stale:
        sys.exit(f"not as the schemas say: {', '.join(stale)}; python3 {Path(__file__).name} writes them")


if __name__ == "__main__":
    main()
