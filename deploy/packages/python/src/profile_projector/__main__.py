"""`python -m profile_projector` is the program."""

import os
import sys

from ._binary import find_binary

if __name__ == "__main__":
    binary = str(find_binary())
    os.execv(binary, [binary, *sys.argv[1:]])
