"""Grad-CAM against its definition, on networks of which it is known where they look."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.saliency import grad_cam

REDNESS = (1.0, -1.0, 0.0)


@pytest.fixture(scope="module")
def network() -> AnemiaNetwork:
    return AnemiaNetwork(backbone="resnet18", hidden=8).eval()


def draw_maps(count: int) -> Tensor:
    return torch.randn(count, 256, 4, 4, generator=torch.Generator().manual_seed(count)).relu()


def by_hand(network: AnemiaNetwork, maps: Tensor, called: list[int], size: int) -> Tensor:
    """Selvaraju et al. 2017, equations 1 and 2, photo by photo."""
    each = []
    for part, side in zip(maps, called, strict=True):
        found = network.backbone.layer4(part[None]).detach().requires_grad_()
        logits = network.head(found.mean(dim=(2, 3)), None, 0.0)[0]
        (logits[side] - logits[1 - side]).backward()
        assert found.grad is not None
        weights = found.grad[0].mean(dim=(1, 2))
        heat = torch.einsum("c,chw->hw", weights, found.detach()[0]).clamp_min(0)
        large = functional.interpolate(heat[None, None], size=(size, size), mode="bilinear")[0, 0]
        each.append(large / large.max() if heat.any() else large)
    return torch.stack(each)


def test_it_is_what_its_authors_define(network: AnemiaNetwork) -> None:
    maps, called = draw_maps(18), [0, 1] * 9  # more than are computed at once
    found = grad_cam(network, maps, torch.tensor(called), size=64)
    assert found.shape == (18, 64, 64)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, by_hand(network, maps, called, 64), rtol=1e-4, atol=1e-5)
    highest = found.amax(dim=(1, 2)).tolist()
    assert highest.count(1.0) > 12
    # In a photo where nothing speaks for the decision there is no heat.
    assert set(highest) <= {0.0, 1.0}
    assert found.min() >= 0


def test_half_the_precision_moves_the_heat_little(network: AnemiaNetwork) -> None:
    maps, called = draw_maps(4), torch.ones(4)
    whole = grad_cam(network, maps, called, size=64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = grad_cam(network, maps, called, size=64)
    assert half.dtype == torch.float32
    assert (half - whole).abs().max() < 0.1


@pytest.mark.parametrize("corner", [(24, 120), (88, 56)])
def test_the_heat_lies_on_what_the_network_looks_for(
    colour_network: Callable[..., AnemiaNetwork], corner: tuple[int, int]
) -> None:
    looks_for_red = colour_network(REDNESS, bias=-0.2, gain=10.0, cutoff=0.01)
    image = torch.zeros(1, 3, 224, 224)
    top, left = corner
    image[0, 0, top : top + 96, left : left + 96] = 2.0
    patch = torch.zeros(224, 224)
    patch[top : top + 96, left : left + 96] = 1
    with torch.no_grad():
        maps = looks_for_red.trunk(image)
    heat = grad_cam(looks_for_red, maps, torch.tensor([1]), size=224)[0]
    inside = float((heat * patch).sum() / heat.sum())
    # Cells of 32 pixels are blended into their neighbours, so some of the heat of nine cells lies beside them.
    assert inside > 0.7 > 3 * float(patch.mean())
    far = functional.max_pool2d(patch[None, None], 65, stride=1, padding=32)[0, 0] == 0
    assert float(heat[far].max()) == 0
    # Red speaks for anaemia here, and nothing speaks against it.
    assert not grad_cam(looks_for_red, maps, torch.tensor([0]), size=224).any()


def test_the_network_stays_as_it_was() -> None:
    network = AnemiaNetwork(backbone="resnet18", hidden=8, batchnorm="train")
    network.release("layer4")
    network.train()
    network.head.hidden.weight.grad = torch.full_like(network.head.hidden.weight, 3.0)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    needs = [parameter.requires_grad for parameter in network.parameters()]
    grad_cam(network, draw_maps(3), torch.ones(3), size=64)
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == needs
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    with_grad = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    assert with_grad == ["head.hidden.weight"]
    assert bool((network.head.hidden.weight.grad == 3).all())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_statistics_of_a_batch_do_not_enter() -> None:
    network = AnemiaNetwork(backbone="resnet18", hidden=8, batchnorm="train")
    network.release("layer4")
    network.train()
    maps, called = draw_maps(3), torch.ones(3)
    together = grad_cam(network, maps, called, size=32)
    alone = torch.cat([grad_cam(network, maps[[index]], called[[index]], size=32) for index in range(3)])
    np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=1e-5)
