"""What lies in a data folder: its root, and the photographs below it."""

import os
import re
from pathlib import Path

from anemia_lightning.errors import SourceError

_BESIDE_PHOTOS = re.compile(
    r".*\.(7z|csv|db|doc|docx|gz|html|ini|json|log|md|ods|odt|parquet|pdf|py|rar|rtf|tar|tsv|txt|xls|xlsx|xml|yaml|yml|zip)",
    re.IGNORECASE,
)


def data_folder(root: str | Path | None, *, sought: str, change: str) -> Path:
    """Returns the absolute path of a data root, which must be a folder.

    Args:
        root: As the user gave it; `~` is the home folder.
        sought: What the folder should hold, as a noun phrase.
        change: What to do if there is none, as a full sentence.

    Raises:
        SourceError: If no root is given, or it is no folder.
    """
    if root is None or not str(root).strip():
        raise SourceError(sought, "no data.root", change)
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        found = "a file" if is_file(folder) else "nothing"
        raise SourceError(sought, f"{found} at data.root={folder}", change)
    return folder


def is_file(path: Path) -> bool:
    """Says whether there is a file to be had, also for names that the system refuses."""
    try:
        return path.is_file()
    except OSError:
        return False


def subfolders(folder: Path) -> list[Path]:
    """Returns the folders right below one, sorted, without those that systems hide there."""
    return sorted(each for each, is_folder in _read(folder) if is_folder and not _is_hidden(each.name))


def find_photos(folder: Path, *, deep: bool = True) -> list[Path]:
    """Returns the files of a folder that may be photographs, sorted.

    Whatever is not known to be something else counts, whether or not it can be read in the end: a photograph
    in a foreign format must be reported, not overlooked.

    Args:
        folder: Where to look.
        deep: Whether to look in the folders below, too.

    Raises:
        SourceError: If a folder cannot be read or is a link, which would be passed over silently.
    """
    photos = []
    for each, is_folder in sorted(_read(folder)):
        if _is_hidden(each.name):
            continue
        if not is_folder:
            photos += [each] if not _BESIDE_PHOTOS.fullmatch(each.name) else []
        elif deep and each.is_symlink():
            raise SourceError(f"photographs below {folder}", f"the link {each}", "Put the folder itself there.")
        elif deep:
            photos += find_photos(each)
    return photos


def _read(folder: Path) -> list[tuple[Path, bool]]:
    """Returns what lies in a folder, and whether it is a folder: as the system lists it, not asked for each file."""
    try:
        with os.scandir(folder) as entries:
            return [(folder / each.name, _is_folder(folder, each)) for each in entries]
    except OSError as fault:
        raise SourceError(f"the files in {folder}", str(fault.strerror), "Make the folder readable.") from fault


def _is_folder(folder: Path, entry: "os.DirEntry[str]") -> bool:
    # A link may lead to itself, which is no folder.
    return (folder / entry.name).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
