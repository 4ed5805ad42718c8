"""Photos on a page: no more of them than its size allows."""

from collections.abc import Iterator, Sequence

from anemia_lightning.report.sections import Album, PictureGroup

_AS_TEXT = 4 / 3
"""A picture inside a page is base64."""


def fit_albums(albums: Sequence[Album], *, most_bytes: float) -> list[Album]:
    """Leaves out pictures that would make a page too large, the last of each group first, and says so.

    Args:
        albums: The pictures, the most important first in each group.
        most_bytes: What they may take in the page, all together; each group gets its share by its number of pictures.
    """
    everything = sum(len(group.pictures) for album in albums for group in album.groups)
    share = most_bytes / max(1, everything)
    return [
        album._replace(groups=[_fit(group, share * len(group.pictures)) for group in album.groups if group.pictures])
        for album in albums
    ]


def _fit(group: PictureGroup, most_bytes: float) -> PictureGroup:
    sizes = list(_running_sizes(group))
    fitting = sum(size <= most_bytes for size in sizes)
    left_out = len(group.pictures) - fitting
    if not left_out:
        return group
    says = f"{group.says} {left_out} more are left out, or the page would be too large.".strip()
    return group._replace(says=says, pictures=group.pictures[:fitting])


def _running_sizes(group: PictureGroup) -> Iterator[float]:
    total = 0.0
    for picture in group.pictures:
        total += len(picture.jpeg) * _AS_TEXT
        yield total
