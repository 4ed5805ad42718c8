"""The source `union`: several sources as one, each photo with the name of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from anemia_lightning.contracts import MANIFEST_COLUMNS
from anemia_lightning.data.exclusions import EXCLUDE_REASON
from anemia_lightning.errors import (
    AnemiaError,
    ConfigError,
    Fault,
    ManifestError,
    SourceError,
    UnionPartError,
    UnknownNameError,
)

Part = Callable[..., pd.DataFrame]
"""Reads a source: called with `root`, it returns the manifest."""


def read_union(
    *, sources: Sequence[str], roots: Mapping[str, str | Path | None], parts: Mapping[str, Part]
) -> pd.DataFrame:
    """Reads several sources and puts their photos into one manifest.

    Patients are named "<source>/<patient>", so that no two sources share one by chance. Sites keep their names;
    where two sources use the same, it becomes "<source>/<site>". What a source leaves out stays left out.

    Args:
        sources: Names of the sources to read, at least two; their order changes nothing.
        roots: The data folder of each.
        parts: How to read each known source.

    Returns:
        The manifest, sorted by photo id, with the columns of all sources' own; `source` is the name of the part.

    Raises:
        ConfigError: If sources are too few or named twice.
        UnknownNameError: If a source is not known.
        SourceError: If a source has no data folder.
        ManifestError: If two sources name a photo alike.
        UnionPartError: With what one of the sources raises.
    """
    if isinstance(sources, str) or len(sources) <= 1 or len(set(sources)) < len(sources):
        given = sources if isinstance(sources, str) else f"[{','.join(sources)}]"
        raise ConfigError([f"data.sources must list two sources or more, each once, not {given}."])
    for name in sources:
        if name not in parts:
            raise UnknownNameError("a source of the union, data.sources", name, sorted(parts))
    for name in sources:
        if not str(roots.get(name) or "").strip():
            raise SourceError(f"the data folder of {name}", f"no data.roots.{name}", f"Set data.roots.{name}=FOLDER.")
    manifests = {name: _read(name, parts[name], roots[name]) for name in sorted(sources)}
    shared = _shared_sites(manifests)
    named = [_name_apart(name, manifest, shared) for name, manifest in manifests.items()]
    return _stack(named).sort_values("photo", ignore_index=True)


def _read(name: str, part: Part, root: str | Path | None) -> pd.DataFrame:
    try:
        return part(root=root)
    except AnemiaError as error:
        raise UnionPartError(name, error) from error


def _shared_sites(manifests: Mapping[str, pd.DataFrame]) -> set[str]:
    sites = pd.Series([site for manifest in manifests.values() for site in set(manifest["site"]) - {""}], dtype=object)
    return set(sites[sites.duplicated()])


def _name_apart(name: str, manifest: pd.DataFrame, shared_sites: set[str]) -> pd.DataFrame:
    site = manifest["site"]
    # Photo ids begin with the name of the source, and patients and groups without a name of their own are photo ids.
    own_names = {
        column: manifest[column].where(manifest[column] == manifest["photo"], name + "/" + manifest[column])
        for column in ("patient", "photo_group")
    }
    return manifest.assign(**own_names, site=site.where(~site.isin(shared_sites), name + "/" + site), source=name)


def _stack(manifests: Sequence[pd.DataFrame]) -> pd.DataFrame:
    union = pd.concat(manifests, ignore_index=True)
    own = [column for column in union if column not in (*MANIFEST_COLUMNS, EXCLUDE_REASON)]
    for column in union:
        if not is_numeric_dtype(union[column]):
            union[column] = union[column].fillna("")
    if twice := sorted(set(union.loc[union["photo"].duplicated(), "photo"])):
        raise ManifestError([Fault("photo ids that two sources share", twice)])
    return union[[*MANIFEST_COLUMNS, *own, *([EXCLUDE_REASON] if EXCLUDE_REASON in union else [])]]
