"""What the baselines say of the photos of all folds, and how the folds decide."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.assessment.baselines import alike_within_folds, baseline_scores, fitted_in_part, left_out_note
from anemia_lightning.assessment.judged import decide_rows, judge_photos
from anemia_lightning.crossvalidating.fold_scores import fold_decisions, fold_lines, fold_notes, pool_baselines
from anemia_lightning.data.folds import Fold, draw_folds, leave_one_value_out
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import DecisionMissingError
from anemia_lightning.files.run_folder import RunFolder
from anemia_lightning.judging.deciding import write_decision
from anemia_lightning.metrics.decision import Decision


def test_where_sites_are_left_out_the_site_tells_no_photo_from_another() -> None:
    rng = np.random.default_rng(0)
    photos = [f"p{number:02}" for number in range(90)]
    site = np.repeat(["A", "B", "C"], 30)
    # As many are anaemic at each site as make the site tell something.
    label = rng.random(90) < np.repeat([0.2, 0.5, 0.8], 30)
    manifest = pd.DataFrame({"photo": photos, "patient": photos, "photo_group": photos, "site": site})
    facts = pd.DataFrame({"photo": photos, "colour_a": rng.normal(size=90)})
    prepared = Prepared(manifest.assign(label=label.astype(int)), pd.DataFrame(), facts, pd.DataFrame(), {})
    folds = leave_one_value_out(prepared.manifest, "site", seed=0, val_share=0.2).folds
    pooled = pool_baselines(folds, prepared, seed=0)
    assert {"site", "colour statistics, linear"} <= set(pooled)
    assert alike_within_folds(pooled) == ["prevalence", "site"]
    dealt = draw_folds(prepared.manifest, folds=3, repeats=2, seed=0, val_share=0.2)
    assert alike_within_folds(pool_baselines(dealt, prepared, seed=0)) == ["prevalence"]


def test_what_some_folds_alone_could_fit_is_left_out_in_so_many_words() -> None:
    # One fold tests all photos whose sex is known, so that its training photos tell nothing of it.
    known = np.arange(60) < 20
    label = np.arange(60) % 2
    photos = [f"p{number:02}" for number in range(60)]
    manifest = pd.DataFrame({"photo": photos, "patient": photos, "photo_group": photos, "age_months": 7.0})
    manifest = manifest.assign(label=label, sex=np.where(known, np.where(label, "female", "male"), ""))
    facts = pd.DataFrame({"photo": photos, "colour_a": np.random.default_rng(0).normal(size=60)})
    prepared = Prepared(manifest, pd.DataFrame(), facts, pd.DataFrame(), {})
    folds = [
        Fold(0, number, f"fold-{number}", pd.Series(["test" if each else "train" for each in is_tested]))
        for number, is_tested in enumerate((known, ~known))
    ]
    pooled = pool_baselines(folds, prepared, seed=0)
    assert pooled["age and sex"].isna().tolist() == known.tolist()
    assert fitted_in_part(pooled) == ["age and sex"]
    assert left_out_note(pooled) == (
        "Baselines that say the same of all photos of a fold are left out, since pooled they would tell folds apart "
        "and not people: prevalence. Baselines for which the training photos of some folds hold nothing to learn from "
        "are left out: age and sex."
    )
    judged, _ = judge_photos(
        decide_rows(pooled.assign(patient=pooled["photo"], logit=0.0), Decision.fixed(0.5)),
        pd.Series(range(60), index=photos),
    )
    assert list(baseline_scores(judged, pooled)) == ["colour statistics, linear", "colour statistics, forest"]


def test_the_lines_at_the_end_name_the_folds_mean() -> None:
    pooled = {"n": 40, "n_positive": 20, "auroc": 0.7, "auroc_interval": None}
    folds = {name: {"auroc": area} for name, area in (("a", 0.7), ("b", None), ("c", 0.8))}
    lines = fold_lines({"pooled": pooled, "baselines": {}, "folds": folds})
    assert lines[-1] == "AUROC of the single folds: 0.700 to 0.800, mean 0.750"


def test_notes_name_their_fold(tmp_path: Path) -> None:
    folds = [Fold(0, number, f"fold-{number}", pd.Series(dtype=object)) for number in range(2)]
    folders = [RunFolder(tmp_path / fold.name) for fold in folds]
    write_decision(folders[0].decision, Decision.fixed(0.4))
    write_decision(folders[1].decision, Decision.fixed(0.5, "none reaches it"))
    decisions = fold_decisions(folds, folders)
    assert [decisions[fold.name].threshold.value for fold in folds] == [0.4, 0.5]
    assert fold_notes(decisions) == ["fold-1: Threshold: none reaches it."]


def test_a_fold_without_its_decision_is_told_with_a_way_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "cv" / "folds" / "fold-0")
    with pytest.raises(DecisionMissingError) as caught:
        fold_decisions([Fold(0, 0, "fold-0", pd.Series(dtype=object))], [folder])
    assert str(caught.value) == (
        f"Looked for how the model of fold-0 decides; found no {folder.decision}. Put the file back, or remove "
        f"{folder.path} and train it again with resume={tmp_path / 'cv'}."
    )
