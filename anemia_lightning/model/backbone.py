"""The network: a torchvision ResNet in named stages, frozen from below, and a head with two outputs."""

from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models

from anemia_lightning.contracts import Entry
from anemia_lightning.errors import ConfigError, UnknownNameError
from anemia_lightning.model.pointwise import make_pointwise
from anemia_lightning.model.tapwise import make_tapwise
from anemia_lightning.randomness import stream

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
"""Parts of the network from the image to the logits; stem to layer3 are the trunk."""

GROUPS = {"head": ("head",), "layer4": ("layer4",), "trunk": ("stem", "layer1", "layer2", "layer3")}
"""Stages of each parameter group, in the order that optimizers and schedules see."""

_FIRST_STAGE: dict[Entry, str] = {"image": "stem", "layer3": "layer4", "pooled": "head"}


class AnemiaNetwork(nn.Module):
    """A ResNet of which the stages from `train_from` on train, and a head of two linear layers.

    It starts from random weights, all but the head frozen. The layers below the lowest training stage run
    without gradients. State-dict keys are torchvision's own behind `backbone.`, and `head.hidden` and
    `head.output`. Building one leaves the global random state as it was; from then on GPUs convolve float32
    in full precision.

    Args:
        backbone: Name of a torchvision ResNet, ResNeXt or wide ResNet.
        hidden: Units of the head's hidden layer.
        dropout: Chance of a hidden unit to be dropped, in [0, 1).
        init_seed: Of the backbone's random weights, drawn as torchvision draws them.
        head_seed: Of the head's random weights; they do not depend on the backbone's.
        batchnorm: Whether the BatchNorm statistics of training stages stay `frozen` or `train` too.
        frozen_batchnorm: Mode of BatchNorm in frozen stages; `train` reproduces loops that leave them in
            train mode, so that frozen layers normalise by the batch and their statistics move.

    Raises:
        UnknownNameError: If torchvision has no ResNet of this name.
        ConfigError: If the head cannot have this width or this dropout.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        hidden: int = 512,
        dropout: float = 0.5,
        init_seed: int = 0,
        head_seed: int = 0,
        batchnorm: Literal["frozen", "train"] = "frozen",
        frozen_batchnorm: Literal["eval", "train"] = "eval",
    ) -> None:
        super().__init__()
        _check_head(hidden, dropout)
        # By itself torch lets them round what they convolve to TF32, which has 10 of the 23 bits.
        torch.backends.cudnn.allow_tf32 = False
        self.backbone_name = backbone
        self.dropout = dropout
        self.batchnorm = batchnorm
        self.frozen_batchnorm = frozen_batchnorm
        self.backbone, features = _build_backbone(backbone, init_seed)
        self.head = _build_head(features, hidden, head_seed)
        self._train_from = "head"
        self._keep_requires_grad_from: str | None = None
        self.to(memory_format=torch.channels_last)
        self.release("head")

    @property
    def train_from(self) -> str:
        """The lowest stage that trains."""
        return self._train_from

    def forward(self, values: Tensor, entry: Entry = "image", keep: Tensor | None = None) -> Tensor:
        """Returns the logits of both labels.

        The head computes in the precision of its weights even under autocast: it costs nothing, and logits
        in bfloat16 would tie.

        Args:
            values: float [B, 3, H, W], [B, C, h, w] or [B, C], as `entry` says.
            entry: Where `values` enter.
            keep: bool [B, hidden], True where dropout keeps a hidden unit; None keeps all.

        Returns:
            float32 [B, 2].
        """
        pooled = self.embed(values, entry)
        with torch.autocast(pooled.device.type, enabled=False):
            logits: Tensor = self.head(pooled, keep, self.dropout)
        return logits.float()

    def embed(self, values: Tensor, entry: Entry = "image") -> Tensor:
        """Returns the pooled vector, float [B, features]."""
        return self._run(values, _FIRST_STAGE[entry], "head")

    def trunk(self, images: Tensor) -> Tensor:
        """Returns layer3's output, float [B, C, h, w], for images, float [B, 3, H, W]."""
        return self._run(images, "stem", "layer4")

    def release(self, stage: str) -> None:
        """Lets `stage` and all above it train and freezes all below, whatever held before.

        Raises:
            UnknownNameError: If there is no such stage.
        """
        self._train_from = _known_stage(stage)
        self.apply_freezing(self._keep_requires_grad_from)

    def apply_freezing(self, keep_requires_grad_from: str | None = None) -> None:
        """Sets `requires_grad` and the BatchNorm modes as the lowest training stage asks.

        Args:
            keep_requires_grad_from: Parameters from this stage on require gradients even while frozen. They
                get none, since frozen stages run without. DistributedDataParallel needs it, with
                `find_unused_parameters`, because it looks at the parameters only once. Remembered.
        """
        self._keep_requires_grad_from = keep_requires_grad_from
        lowest = min(STAGES.index(_known_stage(stage)) for stage in (self.train_from, keep_requires_grad_from) if stage)
        for index, stage in enumerate(STAGES):
            for param in self._stage_parameters(stage):
                param.requires_grad_(index >= lowest)
                if not self._stage_trains(stage):
                    # An optimizer steps on any gradient that it finds, also on one from before the freezing.
                    param.grad = None
        self.train(self.training)

    def trains(self, group: str) -> bool:
        """Returns whether any stage of a parameter group trains."""
        return any(self._stage_trains(stage) for stage in GROUPS[group])

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 (the signature of nn.Module)
        """Sets the mode, except that BatchNorm follows `batchnorm` and `frozen_batchnorm`."""
        super().train(mode)
        for stage in STAGES:
            choice = self.batchnorm if self._stage_trains(stage) else self.frozen_batchnorm
            for part in self._stage_parts(stage):
                for module in part.modules():
                    # Also what Lightning makes of a synchronised one when a fit ends.
                    if isinstance(module, _BatchNorm):
                        module.train(mode and choice == "train")
        return self

    def parameter_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        """Returns the parameters of head, layer4 and trunk, each parameter in exactly one group."""
        groups = [
            (name, [param for stage in stages for param in self._stage_parameters(stage)])
            for name, stages in GROUPS.items()
        ]
        grouped = [id(param) for _, params in groups for param in params]
        assert sorted(grouped) == sorted(id(param) for param in self.parameters())
        return groups

    def _run(self, values: Tensor, first: str, end: str) -> Tensor:
        """Runs the stages from `first` up to, but without, `end`."""
        start = STAGES.index(first)
        skipped = self.training and torch.is_grad_enabled() and start > STAGES.index(self.train_from)
        assert not skipped, f"{self.train_from} trains, but a batch enters above it, at {first}"
        if values.dim() == 4:  # noqa: PLR2004 (a map, not a vector)
            values = values.contiguous(memory_format=torch.channels_last)
        for stage in STAGES[start : STAGES.index(end)]:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self._stage_trains(stage)):
                values = self._run_stage(stage, values)
        return values

    def _run_stage(self, stage: str, values: Tensor) -> Tensor:
        net = self.backbone
        if stage == "stem":
            result = net.maxpool(net.relu(net.bn1(net.conv1(values))))
        elif stage == "layer4":
            result = _pool(net.layer4(values))
        else:
            result = net.get_submodule(stage)(values)
        assert isinstance(result, Tensor)
        return result

    def _stage_trains(self, stage: str) -> bool:
        return STAGES.index(stage) >= STAGES.index(self.train_from)

    def _stage_parts(self, stage: str) -> list[nn.Module]:
        if stage == "stem":
            return [self.backbone.conv1, self.backbone.bn1]
        return [self.head] if stage == "head" else [self.backbone.get_submodule(stage)]

    def _stage_parameters(self, stage: str) -> list[nn.Parameter]:
        return [param for part in self._stage_parts(stage) for param in part.parameters()]


def _pool(maps: Tensor) -> Tensor:
    """Returns the mean over pixels, [B, C], of maps in channels_last, [B, C, h, w]: what `backbone.avgpool` computes.

    Its gradient stays in channels_last. That of torch's pooling does not, and is put in order by the operations below:
    9 ms more in a step of 380 ms.
    """
    return maps.permute(0, 2, 3, 1).flatten(1, 2).mean(1)


class _Head(nn.Module):
    """Linear, ReLU, dropout by a given mask, linear."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.output = nn.Linear(hidden, 2)

    def forward(self, pooled: Tensor, keep: Tensor | None, dropout: float) -> Tensor:
        hidden = functional.relu(self.hidden(pooled.to(self.hidden.weight.dtype)))
        if keep is not None:
            hidden = hidden * keep / (1 - dropout)
        logits: Tensor = self.output(hidden)
        return logits


def backbone_names() -> list[str]:
    """Returns the names of torchvision's ResNets."""
    names = models.list_models(module=models)
    return [name for name in names if models.get_model_builder(name).__module__ == models.resnet.__name__]


def _build_backbone(name: str, seed: int) -> tuple[models.ResNet, int]:
    known = backbone_names()
    if name not in known:
        raise UnknownNameError("a torchvision ResNet for model.backbone", name, known)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would seed the accelerators too, which are not forked here.
        torch.default_generator.manual_seed(_seed("backbone", seed))
        backbone = models.get_model(name, weights=None)
    features = backbone.fc.in_features
    backbone.fc = nn.Identity()
    make_pointwise(backbone)
    make_tapwise(backbone.layer4)
    return backbone, features


def _build_head(features: int, hidden: int, seed: int) -> "_Head":
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_seed("head", seed))
        return _Head(features, hidden)


def _seed(purpose: str, seed: int) -> int:
    # The same number must not give backbone and head the same draws.
    return int(stream("weights", purpose, seed).integers(2**63))


def _known_stage(stage: str) -> str:
    if stage not in STAGES:
        raise UnknownNameError("a stage of the network", stage, STAGES)
    return stage


def _check_head(hidden: int, dropout: float) -> None:
    problems = []
    if hidden < 1:
        problems.append(f"model.hidden is {hidden}; it must be 1 or more.")
    if not 0 <= dropout < 1:
        problems.append(f"model.dropout is {dropout}; it must lie in [0, 1).")
    if problems:
        raise ConfigError(problems)
