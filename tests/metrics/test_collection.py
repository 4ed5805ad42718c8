"""The epoch's running scores: the same for any batches and processes, equal to the scores of the table."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from anemia_lightning.metrics.collection import WeightedLoss, epoch_metrics
from anemia_lightning.metrics.scores import decisions_of, score_decisions

NAMES = ("acc", "auroc", "sensitivity", "specificity")
CLASS_WEIGHTS = (0.7, 1.6)
PATIENCE = timedelta(seconds=300)


def _draw(seed: int, size: int = 53) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (size,), generator=generator)
    # A coarse grid makes ties, and puts probabilities on the threshold.
    logits = (torch.randn(size, generator=generator) * 8 + 4 * labels).round() / 4
    return labels, logits


def _epoch(
    labels: Tensor, logits: Tensor, sizes: list[int], *, threshold: float = 0.5, first: int = 0
) -> dict[str, float]:
    metrics, loss = epoch_metrics("val/", threshold), WeightedLoss()
    # Once for all photos: vectorised functions may round the rest of a batch otherwise than its body.
    probabilities = logits.double().sigmoid()
    losses = torch.nn.functional.softplus(torch.where(labels == 1, -logits, logits).double())
    weights = torch.tensor(CLASS_WEIGHTS)[labels]
    ends = (torch.tensor(sizes).cumsum(0) + first).tolist()
    for size, end in zip(sizes, ends, strict=True):
        batch = slice(end - size, end)
        metrics.update(probabilities[batch], labels[batch])
        loss.update(losses[batch], weights[batch])
    return {name: value.item() for name, value in {**metrics.compute(), "val/loss": loss.compute()}.items()}


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(10))
def test_an_epoch_scores_what_the_table_scores(seed: int, threshold: float) -> None:
    labels, logits = _draw(seed)
    decisions = decisions_of(logits.numpy(), threshold)
    expected = score_decisions(labels.numpy(), logits.numpy(), decisions, class_weights=CLASS_WEIGHTS)
    epoch = _epoch(labels, logits, [53], threshold=threshold)
    assert epoch == pytest.approx({f"val/{name}": expected[name] for name in (*NAMES, "loss")}, abs=1e-6)


def test_batches_change_no_bit() -> None:
    labels, logits = _draw(3)
    whole = _epoch(labels, logits, [53])
    for sizes in ([32, 21], [1] * 53, [50, 3], [20, 0, 33]):
        assert _epoch(labels, logits, sizes) == whole


def test_an_epoch_of_many_batches_leaves_one_tensor_per_state() -> None:
    metrics, loss = epoch_metrics("train/", 0.5), WeightedLoss()
    for _ in range(20):
        metrics.update(torch.tensor([0.9, 0.1]), torch.tensor([0, 1]))
        loss.update(torch.ones(2), torch.ones(2))
    auroc = metrics["auroc"]
    assert isinstance(auroc, BinaryAUROC)
    states = [loss.losses, loss.weights, auroc.preds, auroc.target]
    assert [[len(values) for values in state] for state in states] == [[40]] * 4


def test_a_second_epoch_starts_from_nothing() -> None:
    metrics, loss = epoch_metrics("train/", 0.5), WeightedLoss()
    metrics.update(torch.tensor([0.9, 0.1]), torch.tensor([0, 1]))
    loss.update(torch.tensor([9.0]), torch.tensor([1.0]))
    metrics.reset()
    loss.reset()
    metrics.update(torch.tensor([0.1, 0.9]), torch.tensor([0, 1]))
    loss.update(torch.tensor([2.0]), torch.tensor([5.0]))
    assert {value.item() for value in metrics.compute().values()} == {1.0}
    assert loss.compute().item() == 2.0


@pytest.mark.parametrize(("label", "undefined"), [(0, "sensitivity"), (1, "specificity")])
def test_one_class_gives_nan_without_a_warning(label: int, undefined: str) -> None:
    metrics = epoch_metrics("val/", 0.5)
    metrics.update(torch.tensor([0.2, 0.7, 0.9]), torch.full((3,), label))
    values = {name: value.isnan().item() for name, value in metrics.compute().items()}
    assert {name for name, is_nan in values.items() if is_nan} == {"val/auroc", f"val/{undefined}"}


def test_an_epoch_of_empty_batches_is_undefined() -> None:
    nothing = torch.zeros(0)
    metrics, loss = epoch_metrics("val/", 0.5), WeightedLoss()
    metrics.update(nothing, nothing.long())
    loss.update(nothing, nothing)
    assert all(value.isnan() for value in [*metrics.compute().values(), loss.compute()])


def test_confident_probabilities_are_never_taken_for_logits() -> None:
    metrics = epoch_metrics("val/", 0.5)
    for probability, label in ((1.0, 1), (0.6, 0), (0.0, 0), (0.8, 1)):
        metrics.update(torch.tensor([probability]), torch.tensor([label]))
    assert metrics.compute()["val/auroc"].item() == 1.0


def test_a_loss_that_is_not_a_number_stays_visible() -> None:
    loss = WeightedLoss()
    loss.update(torch.tensor([1.0, torch.nan]), torch.ones(2))
    assert loss.compute().isnan()


def test_the_loss_holds_no_graph() -> None:
    loss = WeightedLoss()
    loss.update(torch.ones(2, requires_grad=True) * 2, torch.ones(2))
    assert not loss.compute().requires_grad


def test_running_scores_leave_nothing_in_a_checkpoint() -> None:
    metrics, loss = epoch_metrics("val/", 0.5), WeightedLoss()
    metrics.update(torch.tensor([0.2, 0.7]), torch.tensor([0, 1]))
    loss.update(torch.ones(2), torch.ones(2))
    assert not metrics.state_dict()
    assert not loss.state_dict()


def _score_as_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=PATIENCE)
    try:
        labels, logits = _draw(5)
        # Of the 53 photos rank 0 has 40 in two batches, rank 1 the rest and then an empty batch.
        values = _epoch(labels, logits, [30, 10]) if rank == 0 else _epoch(labels, logits, [13, 0], first=40)
    finally:
        torch.distributed.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(values))


def test_two_processes_agree_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not every machine finds its own name.
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, __file__, "1", str(tmp_path)], env=environment) as other:
        _score_as_rank(0, tmp_path)
    assert other.returncode == 0
    labels, logits = _draw(5)
    expected = _epoch(labels, logits, [53])
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == pytest.approx(expected, abs=1e-12)


if __name__ == "__main__":
    _score_as_rank(int(sys.argv[1]), Path(sys.argv[2]))
