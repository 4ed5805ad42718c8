"""How much room a store may take, and how much of it is left."""

import shutil
from pathlib import Path

MOST_BYTES = 20_000_000_000
SHARE_OF_FREE = 5


def default_budget(folder: Path, held: int) -> int:
    """Returns the smaller of 20 GB and a fifth of the free space; what the store holds already counts as free."""
    return min(MOST_BYTES, (free_bytes(folder) + held) // SHARE_OF_FREE)


def free_bytes(folder: Path) -> int:
    """Returns the free space on the disk of a folder, which need not be there yet."""
    for place in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:  # not there, or not for us to look into
            continue
    return 0
