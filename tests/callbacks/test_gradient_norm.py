"""The norm of the gradients, as logged."""

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from anemia_lightning.callbacks.gradient_norm import GradientNorm
from anemia_lightning.command_line.terminal import quiet


class TwoWeights(L.LightningModule):
    """Has the gradient (x, 2x) in each step, and a weight that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2))
        self.frozen = nn.Parameter(torch.ones(5), requires_grad=False)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return batch * (self.weights[0] + 2 * self.weights[1]) + self.frozen.sum()

    def configure_optimizers(self) -> Optimizer:
        return SGD([self.weights, self.frozen], lr=0.1)


@pytest.mark.parametrize(("parts", "norms"), [(1, (3.0, 6.0, 9.0, 6.0)), (2, (4.5, 7.5))])
def test_it_is_the_mean_over_the_steps_before_clipping(parts: int, norms: tuple[float, ...]) -> None:
    quiet()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=parts,
        gradient_clip_val=0.1,
        callbacks=[GradientNorm()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    steps = DataLoader(torch.tensor([3.0, 6.0, 9.0, 6.0]), batch_size=None)  # type: ignore[arg-type, var-annotated]
    trainer.fit(TwoWeights(), steps)
    expected = 5**0.5 * sum(norms) / len(norms)
    assert float(trainer.callback_metrics["train/grad_norm"]) == pytest.approx(expected, rel=1e-6)
