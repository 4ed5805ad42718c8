"""A decision that is chosen once and carried: into the checkpoint without touching the rest, and out of it again."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from anemia_lightning.callbacks.checkpoint import DurableCheckpointIO
from anemia_lightning.errors import CheckpointUnreadableError
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.judging.deciding import (
    at_threshold,
    carry_decision,
    choose_decision,
    decision_lines,
    named_threshold,
    write_decision,
)
from anemia_lightning.metrics.decision import Decision, fit_decision

EVEN = (1.0, 1.0)
RULES = OmegaConf.create({"threshold": "youden", "calibration": "temperature", "coverage": 0.9})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "best.ckpt"
    weights = {"layer4.weight": torch.randn(3, 4), "head.bias": torch.tensor([float("nan"), -0.0], dtype=torch.float64)}
    content = {"state_dict": weights, "epoch": 7, "hyper_parameters": {"hidden": 4, "threshold": 0.5}}
    DurableCheckpointIO().save_checkpoint(content, path)
    return path


def drawn_rows(photos: int = 60) -> tuple[pd.DataFrame, "pd.Series[float]"]:
    """Photos of patients with three each, one patient under two names joined by a photo group, and their logits."""
    rng = np.random.default_rng(0)
    labels = np.arange(photos) // 3 % 2
    names = [f"p{number:03}" for number in range(photos)]
    patients = [f"{number // 3}" for number in range(photos)]
    groups = ["one" if number in (0, 6) else name for number, name in enumerate(names)]
    rows = pd.DataFrame({"photo": names, "label": labels, "patient": patients, "photo_group": groups})
    # By photo id, in an order of its own.
    logits = pd.Series(rng.normal(labels - 0.5, 1.0), index=names).sample(frac=1, random_state=0)
    return rows, logits


def test_it_is_chosen_on_the_photos_by_the_rules() -> None:
    rows, logits = drawn_rows()
    found = choose_decision(RULES, rows, logits, class_weights=EVEN)
    clusters = ["0" if patient == "2" else patient for patient in rows["patient"]]
    assert found == fit_decision(rows["label"], logits.loc[rows["photo"]], clusters=clusters)
    assert found.conformal is not None
    assert found.conformal.anaemic_clusters + found.conformal.not_anaemic_clusters == 19
    shuffled = rows.sample(frac=1, random_state=1)
    assert choose_decision(RULES, shuffled, logits, class_weights=EVEN) == found


def test_the_class_weights_of_the_loss_are_taken_back() -> None:
    rows, logits = drawn_rows()
    found = choose_decision(RULES, rows, logits, class_weights=(0.5, 2.0))
    clusters = ["0" if patient == "2" else patient for patient in rows["patient"]]
    assert found == fit_decision(rows["label"], logits.loc[rows["photo"]], clusters=clusters, offset=np.log(4))
    assert found.scaling.words.startswith("logits less 1.39, temperature ")


def test_a_number_in_the_settings_is_a_fixed_threshold() -> None:
    rows, logits = drawn_rows()
    rules = OmegaConf.create({"threshold": 0.25, "calibration": "none", "coverage": None})
    assert choose_decision(rules, rows, logits, class_weights=EVEN) == fit_decision(
        rows["label"], logits.loc[rows["photo"]], rule="fixed:0.25", scaling="none", coverage=None
    )


def test_a_checkpoint_takes_it_and_nothing_else_changes(checkpoint: Path) -> None:
    before = read_checkpoint(checkpoint)
    decision = choose_decision(RULES, *drawn_rows(), class_weights=EVEN)
    carry_decision(checkpoint, decision)
    after = read_checkpoint(checkpoint)
    assert Decision.from_dict(after["hyper_parameters"].pop("decision")) == decision
    for name, value in before.pop("state_dict").items():
        other = after["state_dict"][name]
        assert (other.dtype, other.numpy().tobytes()) == (value.dtype, value.numpy().tobytes())
    del after["state_dict"]
    assert after == before
    assert [path.name for path in checkpoint.parent.iterdir()] == ["best.ckpt"]


def test_the_same_decision_is_written_once_and_another_takes_its_place(checkpoint: Path) -> None:
    carry_decision(checkpoint, Decision.fixed(0.4))
    written = checkpoint.stat().st_ino
    carry_decision(checkpoint, Decision.fixed(0.4))
    assert checkpoint.stat().st_ino == written
    carry_decision(checkpoint, Decision.fixed(0.3))
    assert read_checkpoint(checkpoint)["hyper_parameters"]["decision"]["threshold"]["value"] == 0.3


def test_a_kill_in_the_middle_leaves_the_checkpoint_as_it_was(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoint.read_bytes()
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        carry_decision(checkpoint, Decision.fixed(0.4))
    assert checkpoint.read_bytes() == before


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"torn")
    with pytest.raises(CheckpointUnreadableError):
        carry_decision(tmp_path / "best.ckpt", Decision.fixed(0.4))
    assert (tmp_path / "best.ckpt").read_bytes() == b"torn"


def test_the_file_says_in_words_what_could_not_be_done(tmp_path: Path) -> None:
    decision = fit_decision([0, 1] * 10, [-1.0, 1.0, 1.0, -1.0] * 5, rule="sensitivity>=0.99", scaling="none")
    write_decision(tmp_path / "decision.json", decision)
    written = json.loads((tmp_path / "decision.json").read_text())
    sentence = (
        "Threshold: no threshold reaches a sensitivity of 0.99 unless it calls every photo anaemic; "
        "the nearest gives 0.500."
    )
    assert written["notes"] == [sentence]
    assert written["threshold"]["reached"] is False
    assert Decision.from_dict(written) == decision
    assert decision_lines(decision)[1:] == [f"Note: {sentence}"]
    assert decision_lines(decision)[0].startswith("Decided by: threshold ")


def test_a_user_may_name_another_threshold() -> None:
    decision = choose_decision(RULES, *drawn_rows(), class_weights=EVEN)
    assert at_threshold(decision, None) is decision
    for setting in (0.8, "fixed:0.8", "0.8"):
        assert named_threshold(setting) == 0.8
        assert at_threshold(decision, setting) == decision.at(0.8)
