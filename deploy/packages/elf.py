"""What a program for Linux needs of the system that it runs on."""

import re
import struct

MACHINES = {62: "x86_64", 183: "aarch64"}


class NotElf(Exception):
    """It is no program for Linux on a machine that is known here."""


def machine(program: bytes) -> str:
    """`x86_64` or `aarch64`."""
    if program[:4] != b"\x7fELF" or program[4:6] != b"\x02\x01":
        raise NotElf("it is not a 64-bit program for Linux")
    (number,) = struct.unpack_from("<H", program, 18)
    if number not in MACHINES:
        raise NotElf(f"it is for a machine of number {number}, which has no package here")
    return MACHINES[number]


def glibc(program: bytes) -> "tuple[int, int] | None":
    """The oldest glibc that has every symbol it is linked against; None if it is linked against none.

    The names of the versions stand in the program's table of strings.
    """
    found = re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?=[\0.])", program)
    return max(((int(major), int(minor)) for major, minor in found), default=None)
