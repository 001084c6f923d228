#!/usr/bin/env python3
"""What the program is made of: a bill of materials, or the licence texts that have to go along.

    python3 deploy/supply.py sbom      CycloneDX 1.5, JSON
    python3 deploy/supply.py notices   plain text

Both name every third-party crate that is linked into the program or its build for the target given by
TARGET (this machine's without). They hold no time, no path and no name of a machine: one tree gives the same
bytes everywhere. Needs cargo, and the crates that cargo has fetched.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "service"
TEXTS = re.compile(r"^(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def cargo(*arguments):
    ran = subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return ran.stdout


def target():
    host = re.search(r"^host: (.*)$", cargo("version", "--verbose"), re.MULTILINE)
    return os.environ.get("TARGET") or host.group(1)


def packages():
    """The program, and for each package that goes into it: itself and whom it needs."""
    metadata = json.loads(cargo("metadata", "--locked", "--format-version=1", "--filter-platform", target()))
    # Only the tree of the program has its own features; tests are not in it, what builds it is.
    tree = cargo("tree", "--locked", "--package", PROGRAM, "--edges=normal,build", "--target", target(), "--prefix=none")
    linked = {tuple(line.split()[:2]) for line in tree.splitlines()}
    by_id = {
        package["id"]: package
        for package in metadata["packages"]
        if (package["name"], "v" + package["version"]) in linked
    }
    needs = {
        node["id"]: [
            dependency["pkg"]
            for dependency in node["deps"]
            if dependency["pkg"] in by_id and any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
        if node["id"] in by_id
    }
    [program] = [package for package in by_id.values() if package["name"] == PROGRAM and not package["source"]]
    order = sorted(by_id, key=lambda one: (by_id[one]["name"], by_id[one]["version"]))
    return program, [(by_id[one], [by_id[other] for other in needs[one]]) for one in order]


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def expression(package):
    # Before SPDX expressions a slash meant OR.
    return re.sub(r"\s*/\s*", " OR ", package["license"] or "")


def sbom():
    program, found = packages()
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    hashes = {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}

    def component(package, kind):
        described = {
            "type": kind,
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "licenses": [{"expression": expression(package)}],
            "purl": purl(package),
        }
        checksum = hashes.get((package["name"], package["version"]))
        if checksum:
            described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if package["repository"] and package["source"]:
            described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        return described

    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": component(program, "application"),
            "properties": [{"name": "cargo:target", "value": target()}],
        },
        "components": [component(one, "library") for one, _ in found if one is not program],
        "dependencies": [
            {"ref": purl(one), "dependsOn": sorted({purl(other) for other in needs})} for one, needs in found
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def texts(package):
    folder = Path(package["manifest_path"]).parent
    files = sorted(one for one in folder.iterdir() if one.is_file() and TEXTS.match(one.name))
    return [one.read_text(encoding="utf-8", errors="replace").strip() for one in files]


def notices():
    _, found = packages()
    third = [one for one, _ in found if one["source"]]
    lines = [f"The program holds {len(third)} crates of others.", ""]
    by_text, numbers = {}, {}
    for one in third:
        of_it = []
        for text in texts(one):
            digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            numbers.setdefault(digest, len(numbers) + 1)
            by_text.setdefault(digest, text)
            of_it.append(numbers[digest])
        said = ", ".join(str(number) for number in of_it) or "none in the package: see the licence's own"
        lines.append(f"{one['name']} {one['version']}: {expression(one)} (texts: {said})")
    for digest, text in by_text.items():
        lines += ["", "=" * 78, f"Text {numbers[digest]}", "=" * 78, "", text]
    return "\n".join(lines) + "\n"


def main():
    makers = {"sbom": sbom, "notices": notices}
    if len(sys.argv) != 2 or sys.argv[1] not in makers:
        sys.exit("usage: supply.py sbom | notices")
    sys.stdout.buffer.write(makers[sys.argv[1]]().encode())


if __name__ == "__main__":
    main()
