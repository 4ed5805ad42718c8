"""Albums: what fits stays as it is, and what does not is left out from the end and counted."""

import pytest

from anemia_lightning.report.albums import fit_albums
from anemia_lightning.report.sections import Album, Picture, PictureGroup


def album(*groups: int, size: int = 300) -> Album:
    pictures = [[Picture(f"{place}", b"x" * size, [], True) for place in range(count)] for count in groups]
    return Album("Photos", [], [PictureGroup("Errors.", f"{len(each)} of 90.", each) for each in pictures])


def test_what_fits_is_left_alone() -> None:
    albums = [album(3, 2)]
    assert fit_albums(albums, most_bytes=5 * 400) == albums


@pytest.mark.parametrize("most_bytes", [0, 399, 1500, 3999, 10_000])
def test_what_does_not_fit_is_left_out_from_the_end_and_counted(most_bytes: int) -> None:
    (fitted,) = fit_albums([album(20, 5)], most_bytes=most_bytes)
    kept = [picture for group in fitted.groups for picture in group.pictures]
    assert len(kept) * 400 <= most_bytes
    for group, count in zip(fitted.groups, (20, 5), strict=True):
        assert [picture.photo for picture in group.pictures] == [str(place) for place in range(len(group.pictures))]
        left_out = count - len(group.pictures)
        assert (
            group.says
            == f"{count} of 90." + f" {left_out} more are left out, or the page would be too large." * bool(left_out)
        )


def test_groups_without_pictures_and_no_albums_are_no_trouble() -> None:
    assert fit_albums([], most_bytes=10) == []
    (fitted,) = fit_albums([album(0, 1)], most_bytes=1000)
    assert len(fitted.groups) == 1
