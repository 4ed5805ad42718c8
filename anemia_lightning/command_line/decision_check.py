"""Refuses settings of evaluation that cannot be: threshold, calibration, conformal sets, what is asked of scores."""

from collections.abc import Iterator

from omegaconf import DictConfig, ListConfig

from anemia_lightning.errors import ConfigError

CALIBRATIONS = ("temperature", "platt", "none")
POOLINGS = ("mean", "median", "max")


def decision_problems(cfg: DictConfig) -> Iterator[str]:
    """Yields what is wrong with the settings by which a command decides, in sentences."""
    if cfg.verb == "predict":
        yield from _threshold(cfg.threshold, "threshold", is_carried=True)
        return
    if cfg.verb == "evaluate":
        yield from _threshold(cfg.evaluation.threshold, "evaluation.threshold", is_carried=not cfg.evaluation.refit)
        if cfg.evaluation.refit and cfg.run is None:
            yield (
                "evaluation.refit=true chooses on the validation photos of a run: give run=FOLDER, "
                "or leave the decision to what the checkpoint carries."
            )
    elif "evaluation" in cfg:
        yield from _fitted(cfg.evaluation)
    if "evaluation" in cfg:
        yield from _asked(cfg.evaluation, left_open=(None,) if cfg.verb == "evaluate" else ())


def _asked(evaluation: DictConfig, *, left_open: tuple[None, ...]) -> Iterator[str]:
    """Checks what is asked of scores, or left open by what `left_open` holds, for the run that is evaluated to say."""
    if evaluation.pooling not in (*POOLINGS, *left_open):
        yield f"evaluation.pooling is one of {', '.join(POOLINGS)}, not {evaluation.pooling}."
    if not isinstance(evaluation.subgroups, ListConfig) and evaluation.subgroups not in left_open:
        yield f"evaluation.subgroups is a list of columns such as [sex, site], not {evaluation.subgroups}."


def _fitted(evaluation: DictConfig) -> Iterator[str]:
    if evaluation.threshold is None:
        yield "evaluation.threshold must be a rule or a number: nothing is carried yet."
    yield from _threshold(evaluation.threshold, "evaluation.threshold", is_carried=False)
    if evaluation.calibration not in CALIBRATIONS:
        yield f"evaluation.calibration is one of {', '.join(CALIBRATIONS)}, not {evaluation.calibration}."
    coverage = evaluation.coverage
    if coverage is not None and not 0 < coverage < 1:
        hint = f" Did you mean {coverage / 100:g}?" if 1 < coverage < 100 else ""  # noqa: PLR2004  percent, the likeliest slip
        yield f"evaluation.coverage is a share between 0 and 1, or null for no sets, not {coverage}.{hint}"


def _threshold(rule: object, setting: str, *, is_carried: bool) -> Iterator[str]:
    """Checks a rule; where the carried decision is used, only a number can take the threshold's place."""
    if rule is None:
        return
    # NumPy comes with it, which no answer to --help should wait for.
    from anemia_lightning.metrics.thresholds import parse_rule

    try:
        parsed = parse_rule(str(rule), setting=setting)
    except ConfigError as error:
        yield from error.problems
        return
    if is_carried and parsed.name != "fixed":
        how = ", or choose anew with run=FOLDER evaluation.refit=true" if setting.startswith("evaluation") else ""
        yield f"{setting}={rule} is chosen on validation photos, and here are none: give a number such as 0.4{how}."
