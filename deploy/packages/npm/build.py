#!/usr/bin/env python3
"""Makes the two tarballs: `build.py --binary target/release/profile-projector --output dist`.

One is the kit, the other carries the program for one platform. Run `npm ci` in this folder before.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import elf  # noqa: E402

# What npm and Node call the machines.
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def version():
    text = (HERE.parents[2] / "Cargo.toml").read_text()
    return re.search(r'^version = "(.+)"', text, re.MULTILINE).group(1)


def pack(folder, manifest, output):
    (folder / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    made = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", output.resolve()],
        cwd=folder, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    print(output / made.stdout.strip())


def kit(manifest, output):
    """The kit, which asks for the program of each platform and takes the one that fits."""
    shutil.rmtree(HERE / "node_modules/.built", ignore_errors=True)
    subprocess.run([HERE / "node_modules/.bin/tsc"], cwd=HERE, check=True)
    names = [f"{manifest['name']}-linux-{arch}" for arch in ARCHITECTURES.values()]
    manifest["optionalDependencies"] = {name: manifest["version"] for name in names}
    del manifest["devDependencies"], manifest["scripts"]
    with tempfile.TemporaryDirectory() as staged:
        shutil.copytree(HERE / "bin", Path(staged) / "bin")
        shutil.copytree(HERE / "node_modules/.built", Path(staged) / "dist")
        shutil.copy(HERE / "README.md", staged)
        pack(Path(staged), manifest, output)


def program(manifest, binary, output):
    """The program for one platform."""
    content = binary.read_bytes()
    machine, glibc = elf.machine(content), elf.glibc(content)
    arch = ARCHITECTURES[machine]
    of_platform = {
        "name": f"{manifest['name']}-linux-{arch}",
        "description": f"The program of {manifest['name']} for Linux on {machine}",
        "version": manifest["version"],
        "license": manifest["license"],
        "os": ["linux"],
        "cpu": [arch],
        "files": ["profile-projector"],
    }
    if glibc is not None:
        of_platform["libc"] = ["glibc"]
        of_platform["description"] += f", glibc {glibc[0]}.{glibc[1]} and later"
    with tempfile.TemporaryDirectory() as staged:
        copied = Path(staged) / "profile-projector"
        copied.write_bytes(content)
        copied.chmod(0o755)
        pack(Path(staged), of_platform, output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    given = parser.parse_args()
    manifest = json.loads((HERE / "package.json").read_text())
    manifest["version"] = version()
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        program(dict(manifest), given.binary, given.output)
        kit(dict(manifest), given.output)
    except (OSError, elf.NotElf, subprocess.CalledProcessError) as problem:
        sys.exit(f"no packages of {given.binary}: {problem}")


if __name__ == "__main__":
    main()
