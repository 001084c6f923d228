#!/usr/bin/env python3
"""Makes the wheel: `build.py --binary target/release/profile-projector --output dist`.

Needs Python alone and no network. The same binary and sources give the same bytes.
"""

import argparse
import base64
import hashlib
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import elf  # noqa: E402

NAME = "profile_projector"


def version():
    text = (HERE.parents[2] / "Cargo.toml").read_text()
    return re.search(r'^version = "(.+)"', text, re.MULTILINE).group(1)


def tag(program):
    """The platforms on which pip installs it."""
    machine, glibc = elf.machine(program), elf.glibc(program)
    if glibc is None:
        # Linked against no C library: any Linux.
        return f"py3-none-manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    return f"py3-none-manylinux_{glibc[0]}_{glibc[1]}_{machine}"


def metadata():
    head = [
        "Metadata-Version: 2.1",
        f"Name: {NAME.replace('_', '-')}",
        f"Version: {version()}",
        "Summary: The profile read model, and a kit for the tests of its producers",
        "License: Apache-2.0 OR MIT",
        "Requires-Python: >=3.10",
        "Provides-Extra: pytest",
        "Requires-Dist: pytest>=7; extra == 'pytest'",
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(head) + "\n\n" + (HERE / "README.md").read_text()


def contents(program):
    """Path, bytes and mode of every file but RECORD."""
    for path in sorted((HERE / "src" / NAME).iterdir()):
        if path.suffix == ".py" or path.name == "py.typed":
            yield f"{NAME}/{path.name}", path.read_bytes(), 0o644
    base = f"{NAME}-{version()}"
    yield f"{base}.data/scripts/profile-projector", program, 0o755
    info = f"{base}.dist-info"
    yield f"{info}/METADATA", metadata().encode(), 0o644
    tags = tag(program)
    first, platforms = "-".join(tags.split("-")[:2]), tags.split("-")[2].split(".")
    lines = ["Wheel-Version: 1.0", "Generator: build.py", "Root-Is-Purelib: false"]
    lines += [f"Tag: {first}-{platform}" for platform in platforms]
    yield f"{info}/WHEEL", ("\n".join(lines) + "\n").encode(), 0o644
    plugin = f"[pytest11]\n{NAME} = {NAME}.pytest_plugin\n"
    yield f"{info}/entry_points.txt", plugin.encode(), 0o644


def build(binary, output):
    program = binary.read_bytes()
    output.mkdir(parents=True, exist_ok=True)
    base = f"{NAME}-{version()}"
    wheel = output / f"{base}-{tag(program)}.whl"
    record = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(path, data, mode):
            info = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, data)

        for path, data, mode in contents(program):
            add(path, data, mode)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}\n")
        path = f"{base}.dist-info/RECORD"
        add(path, "".join([*record, f"{path},,\n"]).encode(), 0o644)
    return wheel


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    given = parser.parse_args()
    try:
        print(build(given.binary, given.output))
    except (OSError, elf.NotElf) as problem:
        sys.exit(f"no wheel of {given.binary}: {problem}")


if __name__ == "__main__":
    main()
