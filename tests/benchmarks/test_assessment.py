"""The assessment's benchmark draws what an assessment takes, and prints both clocks."""

import numpy as np
import pytest

from anemia_lightning.benchmarks.assessment import BASELINES, draw_predictions, main
from anemia_lightning.judging.assessing import assess_predictions


def test_what_is_drawn_fills_every_section() -> None:
    predictions, facts, baselines, decision = draw_predictions(400, 2)
    found = assess_predictions(predictions, decision, facts=facts, baselines=baselines, resamples=20)
    assert (found["unit"], found["counts"]["clusters"]) == ("patient", 200)
    assert [each["name"] for each in found["baselines"]] == list(BASELINES)
    assert found["subgroups"]["absent"] == []
    assert found["subgroups"]["across_sites"]["sites"] == 4
    assert found["uncertainty"]["conformal"]["abstained"]["value"] > 0
    assert np.isfinite(found["calibration"]["after"]["slope"]["value"])


@pytest.mark.slow
def test_both_clocks_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--photos", "60", "--resamples", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("60 predictions, 2 of each patient, 5 baselines, 20 resamples, on ")
    assert [line.split()[0] for line in lines[1:]] == ["numbers", "figures", "both"]
