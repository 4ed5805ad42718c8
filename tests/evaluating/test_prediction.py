"""What is predicted, and what is refused before anything is."""

import os
from pathlib import Path

import pytest

from anemia_lightning.errors import ManifestError
from anemia_lightning.evaluating.prediction import photo_rows


def test_names_that_no_table_could_hold_are_refused_before_anything_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "fine.png").touch()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff.png")).touch()
    except OSError:
        pytest.skip("this file system allows no such names")
    with pytest.raises(ManifestError, match=r"found file names that are not valid UTF-8: f\\udcff\.png\. Mend this"):
        photo_rows(tmp_path)
