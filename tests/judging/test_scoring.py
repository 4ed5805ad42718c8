"""The short lines on scores that commands end with."""

from anemia_lightning.judging.scoring import baseline_lines


def test_simpler_methods_stand_line_by_line() -> None:
    baselines = [{"name": "size", "auroc": {"value": 0.6}}, {"name": "site", "auroc": {"value": None}}]
    head, *lines = baseline_lines(baselines)
    assert head == "AUROC of simpler methods on the same photos:"
    assert [line.split() for line in lines] == [["size", "0.600"], ["site", "undefined"]]
    assert baseline_lines([]) == []
