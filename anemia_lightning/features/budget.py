"""How much room a store may take, and how much of it is left."""

import shutil
from pathlib import Path

from anemia_lightning.errors import ConfigError

MOST_BYTES = 20_000_000_000
SHARE_OF_FREE = 5
AGREED = "max_bytes"
"""A file of this name in the folder of a store holds how many bytes all who share it may fill together: else whoever
leaves `features.max_bytes` open would remove what others keep on purpose."""


def default_budget(folder: Path, held: int) -> int:
    """Returns the smaller of 20 GB and a fifth of the free space; what the store holds already counts as free."""
    return min(MOST_BYTES, (free_bytes(folder) + held) // SHARE_OF_FREE)


def agreed_budget(folder: Path) -> int | None:
    """Returns how many bytes those who share a store have agreed on, as 500000000000 or 5e11; None if they have not.

    Raises:
        ConfigError: If their file holds no such number.
    """
    file = folder / AGREED
    try:
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    try:
        return max(0, int(float(text)))
    except (ValueError, OverflowError):
        raise ConfigError([f"{file} holds '{text}', which is no number of bytes: mend or remove it."]) from None


def free_bytes(folder: Path) -> int:
    """Returns the free space on the disk of a folder, which need not be there yet."""
    for place in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:  # not there, or not for us to look into
            continue
    return 0
