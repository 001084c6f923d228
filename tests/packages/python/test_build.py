"""What `build.py` refuses, and that it makes the same bytes twice. Usage: test_build.py BINARY"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "deploy/packages"))

import elf  # noqa: E402


def refuses(program: bytes, why: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "program"
        binary.write_bytes(program)
        build = [sys.executable, ROOT / "deploy/packages/python/build.py"]
        ended = subprocess.run(
            [*build, "--binary", binary, "--output", folder], capture_output=True, text=True
        )
        assert ended.returncode == 1 and why in ended.stderr, ended
        assert not list(Path(folder).glob("*.whl"))


def main() -> None:
    program = Path(sys.argv[1]).read_bytes()
    # The same question, asked of the tool that everybody has.
    listed = subprocess.run(["objdump", "-T", sys.argv[1]], capture_output=True, text=True).stdout
    needed = {name.strip("()") for name in listed.split() if name.strip("()").startswith("GLIBC_2")}
    numbers = [tuple(map(int, name[6:].split(".")[:2])) for name in needed]
    assert elf.glibc(program) == max(numbers), (elf.glibc(program), sorted(needed))
    head = bytearray(program[:64])
    refuses(b"#!/bin/sh\n", "it is not a 64-bit program for Linux")
    head[18] = 40
    refuses(bytes(head), "it is for a machine of number 40")
    assert elf.glibc(b"\x7fELF\0GLIBC_PRIVATE\0") is None
    print("build.py: right tags, and what has no package is refused")


main()
