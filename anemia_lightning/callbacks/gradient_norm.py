"""Logs the mean norm of an epoch's gradients."""

import lightning as L
import torch
from torch.optim import Optimizer


class GradientNorm(L.Callback):
    """Logs `train/grad_norm`: the L2 norm over all trained parameters before clipping, mean over an epoch's steps."""

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Measures one step."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        # The gradients are alike in all processes; the synchronisation, once an epoch, keeps Lightning from warning.
        pl_module.log("train/grad_norm", norm, on_step=False, on_epoch=True, logger=False, batch_size=1, sync_dist=True)
