"""The bars show each arm's time in one unit, its ratio beside it, and which were multiplied out."""

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from anemia_lightning.plots.benchmark import draw_benchmark
from anemia_lightning.plots.style import to_png


def draw(*, scale: float = 60.0) -> Figure:
    return draw_benchmark(
        ["plain", "ours"],
        [scale * 60, scale * 6],
        [scale * 120, scale * 10],
        wall_ratios=[1.0, 10.0],
        cpu_ratios=[None, None],
        multiplied_out=[True, False],
    )


def labels(figure: Figure, panel: int) -> list[str]:
    return [child.get_text() for child in figure.axes[panel].get_children() if isinstance(child, Annotation)]


def test_bars_are_as_long_as_their_times_in_one_unit() -> None:
    figure = draw()
    wall, cpu = figure.axes
    assert [bar.get_width() for bar in wall.patches] == [60, 6]  # type: ignore[attr-defined]
    assert [bar.get_width() for bar in cpu.patches] == [120, 10]  # type: ignore[attr-defined]
    assert wall.get_xlabel() == "wall time of one training run (min)"
    assert cpu.get_xlabel() == "CPU time of one training run (min)"
    assert [label.get_text() for label in wall.get_yticklabels()] == ["plain", "ours"]
    assert wall.yaxis_inverted()


def test_ratios_stand_beside_the_bars_where_there_are_any() -> None:
    figure = draw()
    assert labels(figure, 0) == ["60.0 min, 1.0x", "6.0 min, 10.0x"]
    assert labels(figure, 1) == ["120.0 min", "10.0 min"]


def test_hollow_bars_are_multiplied_out() -> None:
    hollow, full = draw().axes[0].patches
    assert to_rgb(hollow.get_facecolor()) == (1, 1, 1)
    assert to_rgb(full.get_facecolor()) != (1, 1, 1)


def test_the_unit_follows_the_longest_time() -> None:
    assert "(s)" in draw(scale=0.5).axes[0].get_xlabel()
    assert "(h)" in draw(scale=600).axes[1].get_xlabel()
    assert to_png(draw())
