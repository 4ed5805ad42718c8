"""How growth is summed up, and that it is measured on real trainings."""

import json
from pathlib import Path

import pytest

from anemia_lightning.benchmarks import growth
from anemia_lightning.errors import ArmFailedError

SMALL = ["model.backbone=resnet18", "data.image_size=32", "trainer=cpu", "data.batch_size=16"]


def row(photos: int, *, peak: int | None = 100) -> dict[str, float | int | None]:
    return {"photos": photos, "layer4_epoch_s": 0.1 * photos, "trunk_s": photos**1.5, "peak_anonymous_bytes": peak}


def test_time_and_memory_are_summed_up() -> None:
    report = growth.summarise([row(500, peak=10), row(1000, peak=100), row(5000, peak=130), row(20000, peak=105)])
    assert report["exponents"] == pytest.approx({"layer4_epoch_s": 1.0, "trunk_s": 1.5})
    assert report["memory_growth"] == pytest.approx(0.05)


@pytest.mark.parametrize("rows", [[row(1000)], [row(500), row(1000)], [row(1000, peak=None), row(5000, peak=None)]])
def test_what_was_not_measured_is_not_said(rows: list[dict[str, float | int | None]]) -> None:
    assert growth.summarise(rows)["memory_growth"] is None


def test_a_training_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArmFailedError, match=r"train\.log"):
        growth.measure(tmp_path, 48, ["trainer.max_epoch=1"])


@pytest.mark.slow
def test_it_trains_on_each_number_of_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert growth.main(["--photos", "48", "96", "--folder", str(tmp_path), "--settings", *SMALL]) == 0
    report = json.loads((tmp_path / "growth.json").read_text())
    assert [each["photos"] for each in report["rows"]] == [48, 96]
    assert all(each["layer4_epoch_s"] > 0 and each["cache_bytes"] > 0 for each in report["rows"])
    assert "layer4_epoch_s grows as photos to the power of" in capsys.readouterr().out
    assert not list(tmp_path.rglob("cache"))
