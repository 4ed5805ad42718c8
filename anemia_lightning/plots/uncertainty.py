"""What abstaining buys, drawn: the error rate over the share of photos that is answered."""

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from anemia_lightning.metrics.conformal import RiskCoverage
from anemia_lightning.plots.style import BLUE, GREY, VERMILION, house_style, new_axes


@house_style()
def draw_risk_coverage(
    curve: RiskCoverage, ax: Axes | None = None, answered: tuple[float, float] | None = None
) -> Axes:
    """Draws the share of wrong decisions over the share of photos answered, the surest first.

    Args:
        curve: The risk at each coverage.
        ax: Where to draw; None draws on a figure of its own.
        answered: Marks the share that the prediction sets answer, and the share of wrong decisions among that, in
            [0, 1]. They need not answer the surest photos, so that the point may lie off the curve.
    """
    axes = new_axes() if ax is None else ax
    axes.set(xlabel="share of photos answered, the surest first", ylabel="share of wrong decisions among them")
    axes.set_title(f"n = {curve.photos} photos")
    axes.set_xlim(0, 1.02)
    if curve.aurc is None or curve.best_aurc is None:
        axes.text(0.5, 0.5, "undefined:\nthere are no photos", ha="center", va="center", color=GREY)
        return axes
    rate = float(curve.risk[-1])
    mean = f"the surest first: {curve.aurc:.1%} wrong on average (in the best order {curve.best_aurc:.1%})"
    axes.plot(curve.coverage, curve.risk, color=BLUE, label=mean)
    axes.axhline(rate, color=GREY, linestyle=":", linewidth=1, label=f"all answered: {rate:.1%} wrong")
    if answered is not None:
        share, wrong = answered
        words = f"the prediction sets answer {share:.0%}, {wrong:.1%} of these wrong"
        axes.plot(share, wrong, "o", color=VERMILION, label=words)
    # The first few photos swing between 0 and 1, and would press all others to the floor.
    top = max(0.05, 1.2 * rate, 1.1 * float(curve.risk[len(curve.risk) // 20 :].max()))
    top = top if answered is None else max(top, 1.1 * answered[1])
    axes.set_ylim(-0.02 * top, min(top, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), borderpad=0.0)
    return axes
