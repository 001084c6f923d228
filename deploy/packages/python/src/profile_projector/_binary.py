"""Where the program is."""

import os
import sysconfig
from pathlib import Path

NAME = "profile-projector"


class BinaryNotFound(FileNotFoundError):
    """The program is not where the wheel puts it."""


def find_binary() -> Path:
    """The program that this package was installed with."""
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    # `pip install --target` puts it into `bin` beside the package.
    folders.append(str(Path(__file__).parent.parent / "bin"))
    for folder in folders:
        path = Path(folder) / NAME
        if path.is_file():
            return path
    raise BinaryNotFound(
        f"there is no {NAME} in {', '.join(folders)}: install the wheel again, it carries the program"
    )
