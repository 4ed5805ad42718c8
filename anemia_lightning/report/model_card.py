"""MODEL_CARD.md: what a model is for and what not, what it was made of, how good it is, and what it cannot do."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from anemia_lightning.report import group_sections, score_sections
from anemia_lightning.report.label_words import labels_say
from anemia_lightning.report.markdown import literal, table_lines, write_markdown
from anemia_lightning.report.page import NOTICE
from anemia_lightning.report.provenance import data_sources, loud_labels, weights_says
from anemia_lightning.report.run_facts import together_says
from anemia_lightning.report.run_page import AID, RunReport

_HUMAN = "needs a human"
_GRADE = "severity"
_INTENDED = (
    "Research on screening for anaemia with photographs of the inner eyelid (palpebral conjunctiva): to choose whom to "
    "send to a blood test.",
    "Confirm by a blood test whatever it says. It is not a medical device, and no authority has cleared it.",
    f"Place in the path of care, users and their training: {_HUMAN}.",
)
_OUT_OF_SCOPE = (
    "Diagnosis, treatment, or leaving out a blood test that would be made without it.",
    "Estimating haemoglobin; telling the cause of anaemia.",
    "Pictures of anything else (nails, palms, tongues, whole faces), or taken, cut out or edited otherwise than those "
    "that trained it.",
)
_UNSCORED = "Groups of people, devices and places that the report shows no scores for."
_ALWAYS = (
    "Cameras and light change the redness of a photograph more than anaemia does; at another place, with another "
    "device or in other light its scores may be far lower.",
    "Conjunctivitis, trachoma, jaundice, pigment, crying, eye drops and pressure on the lid change its colour too; the "
    "program is told of none of them.",
    "Photographs that cannot be read or show no tissue are refused with a code; it does not notice a blurred or badly "
    "lit one.",
)


def write_model_card(path: Path, report: RunReport) -> None:
    """Writes the card, from what the page of the same run shows.

    Args:
        path: The Markdown file.
        report: The run.
    """
    write_markdown(path, [line for part in _parts(report) for line in part])


def scope_says(photos: pd.DataFrame) -> list[str]:
    """Returns in sentences whom a model has not learnt from, and whom it is therefore not for.

    Args:
        photos: Those that trained it, with what there is of age_months (NaN where unknown), sex, pregnancy, site ("").
    """
    return [_age_says(photos), _pregnancy_says(photos), *_sex_says(photos)]


def _parts(report: RunReport) -> Iterator[Iterable[str]]:
    facts, assessment = report.facts, report.assessment
    labels = [f"{label.word.upper()}. {label.says}" for label in loud_labels(facts, report.settings)]
    yield (f"# Model card: {literal(report.title)}", "", f"**{NOTICE}.**", "")
    yield (line for label in labels for line in (f"> **{literal(label)}**", ""))
    yield _chapter("Intended use", [*_INTENDED, AID])
    yield _chapter("Out of scope", [*_OUT_OF_SCOPE, *report.scope, _UNSCORED])
    yield _chapter("Data", _data(facts, report.settings))
    yield _chapter("Model", _model(report.settings, folds=len(report.folds)))
    yield _chapter("Weights", weights_says(facts.get("weights", {})))
    yield _chapter("Scores", assessment.get("summary", ["They were not assessed."]))
    if assessment:
        yield table_lines(score_sections.score_table(assessment))
        baselines = score_sections.against_baselines(assessment)
        yield (line for table in (baselines.tables if baselines else ()) for line in table_lines(table))
        yield _chapter("Decision", score_sections.threshold_says(assessment["threshold"]))
        calibration = score_sections.calibration(assessment)
        yield _chapter("Calibration", calibration.says)
        yield (line for table in calibration.tables for line in table_lines(table))
    yield _chapter("Limits", [*report.warnings, *_limits(assessment), *_ALWAYS])
    yield _chapter("Version", _version(facts, folds=len(report.folds)))


def _chapter(title: str, says: Iterable[str]) -> Iterator[str]:
    yield from (f"## {title}", "")
    yield from (f"- {literal(sentence)}" for sentence in says)
    yield ""


def _data(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("weights", {}).get("source") == "evaluated":
        yield "What trained the model stands in its own card; here are those that judge it."
    for name, source in data_sources(settings).items():
        yield f"{name}: {source.people}."
        yield f"Licence of {name}: {source.licence}."
    data = facts.get("data", {})
    if photos := data.get("photos"):
        counts = ", ".join(f"{count} {split}" for split, count in photos.items())
        distinct = data.get("photo_groups", {}).get("distinct")
        yield f"Photos: {counts}; {data.get('excluded', 0)} left out. They show {distinct} different photographs."
    yield from labels_say(facts.get("labels", {}))


def _model(settings: Mapping[str, Any], *, folds: int) -> Iterator[str]:
    model, data = settings.get("model", {}), settings.get("data", {})
    yield (
        f"A {model.get('backbone', 'network')} with a head of two layers looks at one photograph of "
        f"{data.get('image_size', '?')} pixels a side. Nothing else of the person enters: neither age nor sex nor site."
    )
    yield "It gives a logit, from it the probability of anaemia, and a decision at the threshold below."
    where = "FOLDER" if folds else "checkpoints/best.ckpt"
    yield f"To use it: python -m anemia_lightning.predict ckpt={where} source=PHOTOS. It reads them as in training."
    if folds:
        yield f"These are {folds} models. {together_says(settings)}"


def _limits(assessment: Mapping[str, Any]) -> Iterator[str]:
    if not assessment:
        return
    yield from assessment["warnings"]
    if lowest := group_sections.lowest_says(assessment["subgroups"]):
        yield from (*lowest, "Some group is lowest by chance alone.")
    absent = assessment["subgroups"]["absent"]
    if untold := [name for name in absent if name != _GRADE]:
        yield f"How it does by {', '.join(untold)} is not known: the data do not tell."
    if _GRADE in absent:
        yield "How it does by severity is not known: anaemia was not graded."


def _version(facts: Mapping[str, Any], *, folds: int) -> Iterator[str]:
    versions, sessions = facts.get("versions", {}), facts.get("sessions") or [{}]
    known = [f"{name} {versions[name]}" for name in ("anemia_lightning", "torch", "torchvision") if name in versions]
    yield f"Program: {', '.join(known) or 'not known'}."
    yield f"Run: begun {sessions[0].get('started', 'at an unknown time')}."
    yield _hash_says(facts.get("data", {}), folds)
    yield f"Contact: {_HUMAN}."


def _hash_says(data: Mapping[str, Any], folds: int) -> str:
    """Returns the hash of the data. It covers who is in which part of them, so that folds have none in common."""
    if "sha256" not in data:
        why = "each fold has its own, since it covers the split: see folds/*/run.json." if folds else "not recorded."
        return f"Data, SHA-256: {why}"
    split = f"; split: {data['splits_sha256']}" if "splits_sha256" in data else ""
    return f"Data, SHA-256: {data['sha256']}{split}."


def _age_says(photos: pd.DataFrame) -> str:
    ages = photos["age_months"].dropna() if "age_months" in photos else pd.Series(dtype=float)
    if ages.empty:
        return "The ages of those who trained it are not known, so neither is for what ages it serves."
    return f"People younger than {_age(ages.min())} or older than {_age(ages.max())}: none of these trained it."


def _pregnancy_says(photos: pd.DataFrame) -> str:
    known = set(photos["pregnancy"]) - {""} if "pregnancy" in photos else set()
    if known - {"no"}:
        return "Pregnant women are among those who trained it; other cut-offs hold for them."
    return "Pregnant women: none is known to be among those who trained it, and other cut-offs hold for them."


def _sex_says(photos: pd.DataFrame) -> Iterator[str]:
    known = sorted(set(photos["sex"]) - {""}) if "sex" in photos else []
    if len(known) == 1:
        yield f"People who are not {known[0]}: all whose sex is known and who trained it are {known[0]}."


def _age(months: float) -> str:
    return f"{months / 12:.0f} years" if months >= 120 else f"{months:.0f} months"  # noqa: PLR2004  children in months
