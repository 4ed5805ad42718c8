"""Engines are compared on the same images, and int8 never sees one that is scored, nor a copy of one."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from anemia_lightning.benchmarks import inference
from anemia_lightning.benchmarks.inference import keep_photos, set_aside
from anemia_lightning.benchmarks.inference_table import compare, table
from anemia_lightning.command_line.settings import compose
from anemia_lightning.data.framing import Framing
from anemia_lightning.evaluating.photo_logits import images_for_ranges
from anemia_lightning.evaluating.prediction import photo_rows
from anemia_lightning.fitting.training import train_run


@pytest.mark.parametrize("photos", [20, 100, 400])
def test_whole_groups_are_set_aside_and_never_too_many(photos: int) -> None:
    numbers = np.random.default_rng(photos)
    manifest = pd.DataFrame(
        {
            "photo": [f"{number}" for number in range(photos)],
            "patient": [f"p{number}" for number in numbers.integers(0, photos, photos)],
            "photo_group": [f"g{number}" for number in numbers.integers(0, 2 * photos, photos)],
        }
    )
    aside = set_aside(manifest)
    for column in ("patient", "photo_group"):
        assert set(manifest[column][aside]).isdisjoint(manifest[column][~aside])
    assert min(64, photos // 4) <= aside.sum() < photos
    np.testing.assert_array_equal(set_aside(manifest), aside)


def test_what_an_engine_costs_in_scores_is_counted() -> None:
    numbers = np.random.default_rng(0)
    labels = numbers.integers(0, 2, 50)
    exact = (labels + numbers.normal(size=50)).astype(np.float32)
    other = exact.copy()
    other[:2] = -exact[:2]
    rows = compare(
        {"none": {"without": "no onnx"}, "a": {"logits": exact}, "b": {"logits": other}},
        labels,
        decide=lambda logits: (logits > 0).astype(np.int64),
    )
    assert rows["none"] == {"without": "no onnx"}
    assert (rows["a"]["max_difference"], rows["a"]["flipped"], rows["a"]["auroc_difference"]) == (0, 0, 0)
    assert rows["b"]["max_difference"] == pytest.approx(2 * np.abs(exact[:2]).max())
    assert rows["b"]["mean_difference"] == pytest.approx(2 * np.abs(exact[:2]).sum() / 50)
    assert rows["b"]["flipped"] == 2
    assert rows["b"]["auroc"] == pytest.approx(roc_auc_score(labels, other))
    assert rows["b"]["auroc_difference"] == pytest.approx(roc_auc_score(labels, other) - roc_auc_score(labels, exact))


def test_an_engine_that_is_not_installed_is_listed() -> None:
    report = {
        "photos": 9,
        "aside": 3,
        "threads": 2,
        "load_before": 0.1,
        "weights": "Random.",
        "rows": {"openvino-int8": {"without": "no openvino"}},
    }
    assert table(report)[-1] == "\nNot measured: openvino int8, no openvino"


def test_int8_takes_its_ranges_from_what_predict_takes_of_the_folder(drawn_photos: Path, tmp_path: Path) -> None:
    photos = pd.concat([photo_rows(drawn_photos)] * 4).iloc[:70]
    framing = Framing(size=32, region="full", resize="stretch", background=(124, 116, 104))
    keep_photos(photos, tmp_path / "aside", lambda rows: images_for_ranges(rows, framing))
    taken = images_for_ranges(photo_rows(tmp_path / "aside"), framing)
    np.testing.assert_array_equal(np.load(tmp_path / "aside.npy"), taken.numpy())
    assert len(taken) == 64


@pytest.mark.slow
def test_engines_are_measured_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = ["data.patients=24", "data.photos=48", f"paths.root={tmp_path}", f"paths.cache={tmp_path}/cache"]
    small = ["experiment=quick", "data.image_size=32", "trainer.max_epochs=1", "callbacks.unfreeze.phases=[]"]
    run = train_run(compose("train", [*drawn, *small, "trainer=cpu"], run_dir=tmp_path / "run")).folder
    # The children know the package by its path alone.
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    settings = [f"ckpt={run}/checkpoints/best.ckpt", "data=synthetic", *drawn, "trainer=cpu"]
    arms = ["torch-32", "onnxruntime-int8"]
    options = ["--arms", *arms, "--repeats", "2", "--timed", "8", "--folder", str(tmp_path / "out")]
    assert inference.main([*settings, *options]) == 0
    report = json.loads((tmp_path / "out" / "inference.json").read_text())
    assert list(report["rows"]) == arms
    assert report["photos"] + report["aside"] == 48
    for row in report["rows"].values():
        assert row["images_per_s"] > 0
        assert row["predict_s"] > row["again_s"]
        assert 0 <= row["auroc"] <= 1
    assert report["rows"]["onnxruntime-int8"]["model_bytes"] < report["rows"]["torch-32"]["model_bytes"]
    assert 0 < report["rows"]["onnxruntime-int8"]["max_difference"] < 1
    assert "| onnxruntime int8 |" in capsys.readouterr().out
    # What predict was asked to compute is what the engines computed.
    kept = pd.read_csv(tmp_path / "out" / "predict" / "onnxruntime-int8-0" / "predictions.csv")
    assert len(kept) == report["photos"]
