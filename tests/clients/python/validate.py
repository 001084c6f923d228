"""Usage: validate.py SCHEMAS

Holds the schemas, the golden events and the golden answers against the PyPI package jsonschema.
"""

import json
import pathlib
import sys
from importlib.metadata import version

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

schemas = pathlib.Path(sys.argv[1])
BASE = "https://connvo.app/schemas/"


def lines(path):
    # Not splitlines(): a text may hold U+2028.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


files = [*schemas.glob("events/*.json"), schemas / "answer.json"]
documents = [json.loads(path.read_text("utf-8")) for path in files]
registry = Registry().with_resources(
    (document["$id"], Resource.from_contents(document)) for document in documents
)
validators = {}
for document in documents:
    Draft202012Validator.check_schema(document)
    name = document["$id"].removeprefix(BASE).removeprefix("events/").removesuffix(".json")
    validators[name] = Draft202012Validator(
        document, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
checked = Draft202012Validator.FORMAT_CHECKER.checkers
assert {"date-time", "uri", "uri-reference"} <= set(checked), "a format is not checked"
answer_of = validators.pop("answer")
del validators["common"]


def accepts(event):
    kind = event.get("type") if isinstance(event, dict) else None
    return isinstance(kind, str) and kind in validators and validators[kind].is_valid(event)


accepted = refused = beyond = answers = 0
examples = [schemas / "examples/people.ndjson", schemas / "examples/lifecycle.ndjson"]
for golden in (schemas / "golden").glob("v*"):
    for path in [golden / "accepted.ndjson", *examples]:
        for event in lines(path):
            assert accepts(event), f"refused: {event}"
            accepted += 1
    for line in lines(golden / "refused.ndjson"):
        assert accepts(line["event"]) == (line["by"] == "check"), line["why"]
        beyond += line["by"] == "check"
        refused += line["by"] != "check"
    for path in golden.glob("*.expected.json"):
        for value in json.loads(path.read_text("utf-8"))["answers"].values():
            answer_of.validate({"status": "success", "value": value})
            answers += 1

print(
    f"PyPI jsonschema {version('jsonschema')}: {len(validators) + 1} schemas; "
    f"{accepted} events accepted, {refused} refused, {beyond} that only check can refuse; "
    f"{answers} answers"
)
