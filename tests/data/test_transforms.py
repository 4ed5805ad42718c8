from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode, functional

from anemia_lightning.data.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    Draws,
    augment,
    draw_views,
    inverse_map,
    jitter,
    normalise,
    resample,
)
from anemia_lightning.errors import ConfigError

PROTOCOL: dict[str, Any] = {
    "flip": 0.5,
    "rotation_degrees": 15.0,
    "brightness": 0.2,
    "contrast": 0.2,
    "affine_rotation_degrees": 15.0,
    "translation": 0.1,
    "scale": (0.8, 1.2),
    "interpolation": "bilinear",
    "fill": (124, 116, 104),
    "seed": 0,
}
OFF: dict[str, Any] = {
    "flip": 0.0,
    "rotation_degrees": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "affine_rotation_degrees": 0.0,
    "translation": 0.0,
    "scale": (1.0, 1.0),
}
NEUTRAL = {
    "flip": 1.0,
    "rotation": 0.0,
    "brightness": 1.0,
    "contrast": 1.0,
    "contrast_first": 0.0,
    "affine_rotation": 0.0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "scale": 1.0,
}
PINNED = {
    "flip": 1.0,
    "rotation": 12.301996168094265,
    "brightness": 0.8307425750499617,
    "contrast": 0.8351791793442421,
    "contrast_first": 0.0,
    "affine_rotation": -8.36950484416623,
    "shift_x": 0.024493535651004473,
    "shift_y": -0.081315004101145,
    "scale": 0.8461753966258743,
}
MODES = {"bilinear": InterpolationMode.BILINEAR, "nearest": InterpolationMode.NEAREST}
MANY = 20_000


def augmentation(**changes: Any) -> Augmentation:
    return Augmentation(**{**PROTOCOL, **changes})


def names(count: int) -> list[str]:
    return [f"source/{number}.png" for number in range(count)]


def draws_of(values: dict[str, float], count: int = 1) -> Draws:
    return Draws(
        **{name: torch.full((count,), value, dtype=torch.float64) for name, value in {**NEUTRAL, **values}.items()}
    )


def one(draws: Draws, index: int) -> dict[str, float]:
    return {name: float(values[index]) for name, values in draws._asdict().items()}


def photos(count: int, side: int, seed: int = 0) -> Tensor:
    """Smooth, colourful pictures, uint8."""
    coarse = torch.randint(20, 240, (count, 3, 6, 6), generator=torch.Generator().manual_seed(seed)).float()
    return torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 255).to(torch.uint8)


def hills(side: int) -> Tensor:
    """Three smooth hills of another place and width per channel, 0 to 255, well inside the frame."""
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    places = ((-0.2, 0.1, 0.14), (0.15, 0.2, 0.12), (0.1, -0.25, 0.13))
    return 255 * torch.stack(
        [torch.exp(-((x - right) ** 2 + (y - down) ** 2) / (2 * width**2)) for right, down, width in places]
    ).unsqueeze(0)


def in_sequence(image: Tensor, drawn: dict[str, float], mode: InterpolationMode, fill: list[float]) -> Tensor:
    """Torchvision's flip, then rotation, then affine map, each with its own resampling."""
    side = image.shape[-1]
    if drawn["flip"] < 0:
        image = functional.horizontal_flip(image)
    image = functional.rotate(image, drawn["rotation"], interpolation=mode, fill=fill)
    shift = [drawn["shift_x"] * side, drawn["shift_y"] * side]
    mapped = functional.affine(
        image, drawn["affine_rotation"], shift, drawn["scale"], [0.0, 0.0], interpolation=mode, fill=fill
    )
    return cast("Tensor", mapped)


def jitter_in_sequence(image: Tensor, drawn: dict[str, float]) -> Tensor:
    steps = ("contrast", "brightness") if drawn["contrast_first"] else ("brightness", "contrast")
    for step in steps:
        image = getattr(functional, f"adjust_{step}")(image, drawn[step])
    return image


def moved(image: Tensor, draws: Draws, interpolation: Any) -> Tensor:
    return resample(image, inverse_map(draws), interpolation, fill=torch.zeros(3, 1, 1))


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    values = images.double().transpose(0, 1).flatten(1)
    return values.mean(dim=1), values.std(dim=1)


# --- what is drawn ---


@pytest.fixture(scope="module")
def many() -> dict[str, NDArray[np.float64]]:
    draws = draw_views(augmentation(), names(MANY), view=3)
    return {name: values.numpy() for name, values in draws._asdict().items()}


@pytest.fixture(scope="module")
def torchvision_draws() -> dict[str, NDArray[np.float64]]:
    """As many draws of torchvision's own transforms; translations in pixels of a side of 224."""
    rotation, colour = v2.RandomRotation(15), v2.ColorJitter(brightness=0.2, contrast=0.2)
    affine = v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.8, 1.2))
    image = torch.zeros(3, 224, 224)
    found: dict[str, list[float]] = {name: [] for name in NEUTRAL}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(MANY // 4):
            found["rotation"].append(rotation.make_params([image])["angle"])
            jittered, mapped = colour.make_params([image]), affine.make_params([image])
            order = jittered["fn_idx"].tolist()
            found["brightness"].append(float(jittered["brightness_factor"]))
            found["contrast"].append(float(jittered["contrast_factor"]))
            found["contrast_first"].append(float(order.index(1) < order.index(0)))
            found["affine_rotation"].append(mapped["angle"])
            found["scale"].append(mapped["scale"])
            for name, pixels in zip(("shift_x", "shift_y"), mapped["translate"], strict=True):
                found[name].append(pixels)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("rotation", -15, 15),
        ("brightness", 0.8, 1.2),
        ("contrast", 0.8, 1.2),
        ("affine_rotation", -15, 15),
        ("shift_x", -0.1, 0.1),
        ("shift_y", -0.1, 0.1),
        ("scale", 0.8, 1.2),
    ],
)
def test_continuous_draws_are_uniform(name: str, low: float, high: float, many: dict[str, NDArray[np.float64]]) -> None:
    assert low <= many[name].min()
    assert many[name].max() <= high
    assert stats.kstest(many[name], "uniform", args=(low, high - low)).pvalue > 0.01
    assert len(np.unique(many[name])) == MANY, "a continuous draw does not repeat itself"


@pytest.mark.parametrize("name", ["rotation", "brightness", "contrast", "affine_rotation", "scale"])
def test_continuous_draws_follow_torchvisions(
    name: str, many: dict[str, NDArray[np.float64]], torchvision_draws: dict[str, NDArray[np.float64]]
) -> None:
    assert stats.ks_2samp(many[name], torchvision_draws[name]).pvalue > 0.01


@pytest.mark.parametrize("name", ["shift_x", "shift_y"])
def test_translation_rounded_to_pixels_is_torchvisions(
    name: str, many: dict[str, NDArray[np.float64]], torchvision_draws: dict[str, NDArray[np.float64]]
) -> None:
    ours = np.round(many[name] * 224).astype(int)
    theirs = torchvision_draws[name].astype(int)
    assert set(np.unique(ours)) == set(np.unique(theirs)) == set(range(-22, 23))
    counts = np.stack([np.bincount(each + 22, minlength=45) for each in (ours, theirs)])
    assert stats.chi2_contingency(counts).pvalue > 0.01


@pytest.mark.parametrize(("name", "mark"), [("flip", -1), ("contrast_first", 1)])
def test_coins_are_fair(name: str, mark: int, many: dict[str, NDArray[np.float64]]) -> None:
    assert stats.binomtest(int((many[name] == mark).sum()), MANY, 0.5).pvalue > 0.01


def test_torchvision_tosses_for_the_order_too(torchvision_draws: dict[str, NDArray[np.float64]]) -> None:
    first = torchvision_draws["contrast_first"]
    assert stats.binomtest(int(first.sum()), len(first), 0.5).pvalue > 0.01


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_the_flip_rate_is_the_setting(probability: float) -> None:
    flips = (draw_views(augmentation(flip=probability), names(4000), view=0).flip == -1).sum().item()
    assert stats.binomtest(int(flips), 4000, probability).pvalue > 0.01


def test_the_parameters_of_a_view_know_nothing_of_each_other(many: dict[str, NDArray[np.float64]]) -> None:
    correlations = np.atleast_2d(np.corrcoef(np.stack(list(many.values()))))
    assert np.abs(np.triu(correlations, k=1)).max() < 4 / np.sqrt(MANY)


def test_views_of_a_photo_know_nothing_of_each_other() -> None:
    photo = names(1)
    rotations = np.array([draw_views(augmentation(), photo, view).rotation.item() for view in range(4000)])
    assert stats.kstest(rotations, "uniform", args=(-15, 30)).pvalue > 0.01
    assert abs(np.corrcoef(rotations[1:], rotations[:-1])[0, 1]) < 4 / np.sqrt(4000)


def test_a_draw_depends_on_seed_view_and_photo_alone() -> None:
    photo_ids = names(7)
    reference = draw_views(augmentation(), photo_ids, view=2)
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    again = draw_views(augmentation(), photo_ids[::-1], view=2)
    alone = draw_views(augmentation(), photo_ids[4:5], view=2)
    after = torch.get_rng_state(), np.random.get_state()[1]  # type: ignore[index]  # noqa: NPY002
    for ours, theirs, single in zip(reference, again, alone, strict=True):
        assert torch.equal(ours, theirs.flip(0))
        assert torch.equal(ours[4:5], single)
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


@pytest.mark.parametrize(("changes", "view", "photo"), [({"seed": 1}, 2, "a"), ({}, 3, "a"), ({}, 2, "b")])
def test_another_seed_view_or_photo_is_another_draw(changes: dict[str, int], view: int, photo: str) -> None:
    reference = draw_views(augmentation(), ["a"], view=2)
    other = draw_views(augmentation(**changes), [photo], view=view)
    for name in ("rotation", "brightness", "contrast", "affine_rotation", "shift_x", "shift_y", "scale"):
        assert getattr(reference, name) != getattr(other, name)


def test_strengths_scale_the_draw_and_change_nothing_else() -> None:
    weak, strong = (draw_views(augmentation(rotation_degrees=degrees), names(9), view=0) for degrees in (1.0, 30.0))
    assert torch.allclose(30 * weak.rotation, strong.rotation, rtol=1e-12)
    assert all(torch.equal(*pair) for pair in zip(weak[2:], strong[2:], strict=True))


def test_draws_stay_what_they_were_in_earlier_versions() -> None:
    drawn = one(draw_views(augmentation(), ["folder/Anemic/a.png"], view=1), 0)
    assert drawn == pytest.approx(PINNED, rel=1e-12)


# --- strength zero ---


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", [(124, 116, 104), (0, 0, 0), (255, 3, 90)])
@pytest.mark.parametrize("side", [31, 224])
def test_strength_zero_leaves_the_photo_as_it_is(interpolation: str, fill: tuple[int, int, int], side: int) -> None:
    none = augmentation(**OFF, interpolation=interpolation, fill=fill)
    pixels = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = augment(pixels, draw_views(none, names(3), view=5), none)
    assert torch.equal(images, normalise(pixels))


@pytest.mark.parametrize(
    ("setting", "drawn"),
    [
        ("flip", ["flip"]),
        ("rotation_degrees", ["rotation"]),
        ("brightness", ["brightness"]),
        ("contrast", ["contrast"]),
        ("affine_rotation_degrees", ["affine_rotation"]),
        ("translation", ["shift_x", "shift_y"]),
        ("scale", ["scale"]),
    ],
)
def test_each_operation_is_off_at_strength_zero(setting: str, drawn: list[str]) -> None:
    draws = draw_views(augmentation(**{setting: OFF[setting]}), names(50), view=0)
    for name in drawn:
        assert (getattr(draws, name) == NEUTRAL[name]).all()


@pytest.mark.parametrize("contrast_first", [0.0, 1.0])
def test_neutral_factors_leave_every_level_as_it_is(contrast_first: float) -> None:
    pixels = photos(2, 40)
    assert torch.equal(jitter(pixels, draws_of({"contrast_first": contrast_first}, 2)), pixels.float())


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_a_map_that_moves_nothing_changes_no_bit_beside_photos_that_move(interpolation: str) -> None:
    images = normalise(photos(2, 33))
    turned = one(draws_of({"rotation": 10.0}), 0)
    draws = Draws(**{name: torch.tensor([value, turned[name]]).double() for name, value in NEUTRAL.items()})
    result = moved(images, draws, interpolation)
    assert torch.equal(result[0], images[0])
    assert not torch.equal(result[1], images[1])


# --- brightness and contrast ---


@pytest.mark.parametrize("factor", [0.0, 0.8, 0.93, 1.0, 1.1234, 1.2, 2.0])
def test_brightness_equals_torchvisions(factor: float) -> None:
    pixels = photos(3, 37)
    ours = jitter(pixels, draws_of({"brightness": factor}, 3))
    assert torch.equal(ours, functional.adjust_brightness(pixels, factor).float())


@pytest.mark.parametrize("factor", [0.0, 0.8, 0.93, 1.0, 1.1234, 1.2, 2.0])
def test_contrast_equals_torchvisions(factor: float) -> None:
    pixels = photos(5, 37)
    ours = jitter(pixels, draws_of({"contrast": factor}, 5))
    theirs = torch.stack([functional.adjust_contrast(each, factor) for each in pixels]).float()
    # Torchvision takes the mean in float32; where that lies on the edge between two levels they may differ by one.
    assert (ours - theirs).abs().max() <= 1
    assert (ours != theirs).float().mean() < 0.001


def test_brightness_and_contrast_follow_the_drawn_order() -> None:
    pixels, draws = photos(40, 37), draw_views(augmentation(brightness=0.9, contrast=0.9), names(40), view=0)
    assert set(draws.contrast_first.tolist()) == {0.0, 1.0}
    theirs = torch.stack([jitter_in_sequence(pixels[index], one(draws, index)) for index in range(40)]).float()
    ours = jitter(pixels, draws)
    # As above; a contrast of up to 1.9 then almost doubles a difference of one level.
    assert (ours - theirs).abs().max() <= 2
    assert (ours != theirs).float().mean() < 0.001


# --- flip, rotation, affine map ---


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(
    "single",
    [
        {"flip": -1.0},
        {"rotation": 12.0},
        {"rotation": -7.0},
        {"affine_rotation": 12.0},
        {"affine_rotation": -7.0},
        {"shift_x": 0.07},
        {"shift_y": 0.07},
        {"scale": 0.8},
        {"scale": 1.2},
    ],
    ids=str,
)
def test_each_map_alone_is_torchvisions(single: dict[str, float], interpolation: str) -> None:
    """The signs too: torchvision rotates counter-clockwise, but its affine map clockwise, and y points down."""
    image = hills(64)
    ours = moved(image, draws_of(single), interpolation)
    theirs = in_sequence(image, {**NEUTRAL, **single}, MODES[interpolation], fill=[0.0, 0.0, 0.0])
    assert (ours - theirs).abs().max() < 0.001, "of 255 levels: the last bits of the bilinear weights"
    assert (ours - image).abs().max() > 20, "the map moves something"


@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize(
    "maps",
    [
        {"rotation": 15.0, "affine_rotation": -13.0, "shift_x": 0.1, "shift_y": -0.05, "scale": 1.2},
        {"rotation": 15.0, "affine_rotation": 15.0, "shift_x": -0.1, "shift_y": 0.1, "scale": 0.8},
        {"rotation": -9.0, "affine_rotation": 4.0, "shift_x": 0.03, "shift_y": 0.08, "scale": 0.93},
    ],
)
def test_one_matrix_equals_the_three_maps_in_sequence(maps: dict[str, float], flip: float) -> None:
    image, drawn = hills(224), {**NEUTRAL, **maps, "flip": flip}
    ours = moved(image, draws_of(drawn), "bilinear")
    theirs = in_sequence(image, drawn, MODES["bilinear"], fill=[0.0, 0.0, 0.0])
    # Of 255 levels: torchvision interpolates twice and so flattens the hills by about half a level.
    assert (ours - theirs).abs().max() < 1
    assert (ours - theirs).abs().mean() < 0.02


@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize("turns", [(90.0, 0.0), (90.0, 90.0), (-90.0, 180.0)])
def test_nearest_equals_the_sequence_exactly_where_pixels_fall_on_pixels(
    turns: tuple[float, float], flip: float
) -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) + 0.1
    maps = {"rotation": turns[0], "affine_rotation": turns[1], "shift_x": 5 / 64, "shift_y": -9 / 64, "flip": flip}
    theirs = in_sequence(image, {**NEUTRAL, **maps}, MODES["nearest"], fill=[0.0, 0.0, 0.0])
    assert torch.equal(moved(image, draws_of(maps), "nearest"), theirs)


def test_nearest_makes_no_new_values() -> None:
    augmented = augmentation(interpolation="nearest", brightness=0.0, contrast=0.0)
    pixels = photos(4, 48)
    images = augment(pixels, draw_views(augmented, names(4), view=0), augmented)
    for image, photo in zip(images, normalise(pixels), strict=True):
        for channel in range(3):
            assert set(image[channel].unique().tolist()) <= {0.0, *photo[channel].unique().tolist()}


@pytest.mark.parametrize("fill", [(124, 116, 104), (0, 0, 0), (255, 3, 90)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_outside_stands_exactly_the_fill(fill: tuple[int, int, int], interpolation: str) -> None:
    outside = augment(photos(1, 32), draws_of({"shift_x": 0.5}), augmentation(fill=fill, interpolation=interpolation))
    colour = normalise(torch.tensor(fill).view(1, 3, 1, 1))
    expected = torch.zeros(1, 3, 1, 1) if fill == (124, 116, 104) else colour
    assert torch.equal(outside[..., :15], expected.expand(1, 3, 32, 15))
    assert (outside[..., 17:] != expected).any()
    assert (colour - expected).abs().max() < 0.5 / 255 / 0.224, "less than half a level from the colour asked for"


# --- the whole ---


def test_normalise_is_torchvisions() -> None:
    pixels = photos(2, 20)
    theirs = functional.normalize(functional.to_dtype(pixels, torch.float32, scale=True), IMAGENET_MEAN, IMAGENET_STD)
    assert torch.allclose(normalise(pixels), theirs, atol=1e-6)
    assert normalise(pixels).dtype == torch.float32


def test_views_agree_with_torchvisions_in_mean_and_deviation() -> None:
    """Each with its own draws: 8 photos in 250 views, in units of ImageNet's standard deviation."""
    settings, pixels, fill = augmentation(), photos(8, 40), [124, 116, 104]
    theirs_at_random = v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
            v2.RandomRotation(15, interpolation=InterpolationMode.BILINEAR, fill=fill),
            v2.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), interpolation=InterpolationMode.BILINEAR, fill=fill),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    ours = torch.cat([augment(pixels, draw_views(settings, names(8), view), settings) for view in range(250)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([theirs_at_random(photo) for _ in range(250) for photo in pixels])
    (our_mean, our_deviation), (their_mean, their_deviation) = moments(ours), moments(theirs)
    # 0.03 is 1.7 of 255 levels. Torchvision cuts the photo's corners off between its two resamplings, we do not.
    assert (our_mean - their_mean).abs().max() < 0.03
    assert (our_deviation - their_deviation).abs().max() < 0.03


def test_views_agree_with_torchvisions_pixel_by_pixel_inside() -> None:
    """With equal draws, in the middle of the photo, where nothing from outside comes."""
    settings, pixels, fill = augmentation(), photos(8, 64), [124.0, 116.0, 104.0]
    ours, theirs = [], []
    for view in range(10):
        draws = draw_views(settings, names(8), view)
        ours.append(augment(pixels, draws, settings)[..., 21:43, 21:43])
        for index, photo in enumerate(pixels):
            drawn = one(draws, index)
            image = in_sequence(jitter_in_sequence(photo, drawn), drawn, MODES["bilinear"], fill)
            theirs.append(normalise(image.unsqueeze(0))[..., 21:43, 21:43])
    difference = torch.cat(ours) - torch.cat(theirs)
    # Torchvision rounds to whole levels after each resampling: half a level is 0.009, and there are two of them.
    assert difference.abs().mean() < 0.018
    assert difference.mean(dim=(0, 2, 3)).abs().max() < 0.002
    (our_mean, our_deviation), (their_mean, their_deviation) = moments(torch.cat(ours)), moments(torch.cat(theirs))
    assert (our_mean - their_mean).abs().max() < 0.002
    assert (our_deviation - their_deviation).abs().max() < 0.01


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_the_number_of_threads_changes_no_bit(interpolation: str) -> None:
    settings = augmentation(interpolation=interpolation)
    pixels, draws = photos(6, 224), draw_views(settings, names(6), view=0)
    results = []
    for count in (1, 2):
        torch.set_num_threads(count)
        results += [augment(pixels, draws, settings), normalise(pixels)]
    assert torch.equal(results[0], results[2])
    assert torch.equal(results[1], results[3])


@pytest.mark.parametrize("side", [31, 224])
def test_a_batch_is_its_photos_one_by_one(side: int) -> None:
    settings, pixels = augmentation(), photos(9, side)
    together = augment(pixels, draw_views(settings, names(9), view=1), settings)
    for index, photo in enumerate(names(9)):
        alone = augment(pixels[index : index + 1], draw_views(settings, [photo], view=1), settings)
        assert torch.equal(together[index : index + 1], alone)


def test_the_steps_on_a_whole_batch_are_those_on_each_photo() -> None:
    """A CPU goes photo by photo, a GPU takes the batch at once: one code, one result."""
    settings, pixels = augmentation(), photos(9, 40)
    draws = draw_views(settings, names(9), view=1)
    at_once = resample(normalise(jitter(pixels, draws)), inverse_map(draws), "bilinear", torch.zeros(3, 1, 1))
    assert torch.equal(at_once, augment(pixels, draws, settings))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_no_step_waits_for_an_answer_of_a_gpu(interpolation: str) -> None:
    settings = augmentation(interpolation=interpolation)
    # This device has none to give: whoever asks it for a value fails.
    images = augment(photos(3, 40).to("meta"), draw_views(settings, names(3), view=0), settings)
    assert (images.shape, images.dtype) == ((3, 3, 40, 40), torch.float32)


def test_photos_are_not_changed_in_place() -> None:
    settings, pixels = augmentation(), photos(2, 30)
    before = pixels.clone()
    augment(pixels, draw_views(settings, names(2), view=0), settings)
    assert torch.equal(pixels, before)


# --- settings ---


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"flip": 1.5}, "data.augmentation.flip must lie in [0, 1], not 1.5."),
        ({"brightness": -0.1}, "data.augmentation.brightness must lie in [0, 1], not -0.1."),
        ({"contrast": float("nan")}, "data.augmentation.contrast must lie in [0, 1], not nan."),
        ({"translation": 10}, "data.augmentation.translation must lie in [0, 1], not 10."),
        ({"rotation_degrees": -15}, "data.augmentation.rotation_degrees must lie in [0, 180], not -15."),
        ({"scale": (1.2, 0.8)}, "data.augmentation.scale must be two rising positive factors, not [1.2, 0.8]."),
        ({"scale": (1.2,)}, "data.augmentation.scale must be two rising positive factors, not [1.2]."),
        ({"scale": (0, 1)}, "data.augmentation.scale must be two rising positive factors, not [0, 1]."),
        ({"interpolation": "cubic"}, "data.augmentation.interpolation is bilinear or nearest, not cubic."),
        ({"fill": (0, 256, 0)}, "data.augmentation.fill must be three whole numbers from 0 to 255, not [0, 256, 0]."),
        ({"fill": (0, 0)}, "data.augmentation.fill must be three whole numbers from 0 to 255, not [0, 0]."),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        augmentation(**changes)
    assert str(caught.value) == sentence


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        augmentation(flip=2, contrast=3, scale=(0, 0))
    assert len(caught.value.problems) == 3


def test_settings_travel_as_plain_values() -> None:
    settings = augmentation()
    assert settings.to_dict() == PROTOCOL
    assert Augmentation(**settings.to_dict()) == settings  # type: ignore[arg-type]
