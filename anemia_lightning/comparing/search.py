"""Run folders by name and by pattern: from what a command is given down to the single runs."""

import glob
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from anemia_lightning.errors import NoRunsError
from anemia_lightning.files.run_folder import find_run

_MARKS = ("config_resolved.yaml", ".hydra", "FAILED.txt", "run.json", "metrics.json")
"""Any of these makes a folder a run, whatever became of it."""

_DEEPEST = 4
"""Folders to go down in search of runs: from logs/ to the jobs of a sweep."""


def find_runs(named: Sequence[str], root: str | Path) -> list[Path]:
    """Returns the run folders that names and patterns lead to, in their order, each once.

    Of a folder that is no run itself, such as a sweep, those are returned that lie in it. What a pattern leads to
    besides runs is returned too: the caller is to say why nothing comes of it.

    Args:
        named: Folders, `latest` of a command, or patterns with *, ? and [].
        root: `paths.root`.

    Raises:
        NoRunsError: If one of them leads to no run.
    """
    found: dict[Path, None] = {}
    for text in named:
        found |= dict.fromkeys(_named_runs(text, root))
    return list(found)


def is_run(path: Path) -> bool:
    """Whether a folder is one run, finished or not."""
    return path.is_dir() and any((path / mark).exists() for mark in _MARKS)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Returns names by which folders can be told apart: the shortest ends of their paths that no other has.

    The number of a sweep's job says nothing alone, so it keeps its sweep where there are folders of other places.

    Example:
        >>> short_names([Path("/logs/runs/a"), Path("/logs/multiruns/b/0")])
        ['a', 'b/0']
        >>> short_names([Path("/logs/multiruns/b/0"), Path("/logs/multiruns/b/1")])
        ['0', '1']
    """
    is_one_place = len({folder.parent for folder in folders}) == 1
    ends = [_ends(folder) for folder in folders]
    taken = Counter(end for each in ends for end in each)
    names = []
    for folder, each in zip(folders, ends, strict=True):
        least = 1 if folder.name.isdigit() and not is_one_place else 0
        names.append(next((end for end in each[least:] if taken[end] == 1), str(folder)))
    return names


def _ends(folder: Path) -> list[str]:
    """Returns the ends of a path, the shortest first."""
    parts = folder.parts[1:]
    return ["/".join(parts[-length:]) for length in range(1, len(parts) + 1)]


def _named_runs(text: str, root: str | Path) -> list[Path]:
    place = find_run(text, root)
    # A folder may have a name that looks like a pattern.
    if place.exists():
        matches = [place]
    elif glob.has_magic(text):
        matches = [find_run(match, root) for match in sorted(glob.glob(text, recursive=True), key=_natural)]  # noqa: PTH207
    else:
        raise NoRunsError(text, "nothing there")
    if not matches:
        raise NoRunsError(text, f"nothing that matches, seen from {Path.cwd()}")
    runs = [run for match in matches for run in _within(match, _DEEPEST)]
    if not any(is_run(run) for run in runs):
        kinds = "a file" if all(match.is_file() for match in matches) else "no run folder"
        raise NoRunsError(text, f"{kinds}, in which none of {', '.join(_MARKS)} lies")
    return runs


def _within(path: Path, deepest: int) -> list[Path]:
    """Returns the runs at and below a path; the path itself where there is none."""
    if is_run(path) or not path.is_dir() or not deepest:
        return [path]
    children = sorted((child for child in path.iterdir() if child.is_dir()), key=lambda child: _natural(child.name))
    below = [
        run
        for child in children
        if not child.name.startswith(".") and not child.is_symlink()
        for run in _within(child, deepest - 1)
    ]
    return below if any(is_run(run) for run in below) else [path]


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns what sorts 10 behind 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
