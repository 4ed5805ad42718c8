"""The page of a run: one HTML file, no script, nothing from the network; for training, evaluation and folds alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from anemia_lightning.report import group_sections, score_sections
from anemia_lightning.report.albums import fit_albums
from anemia_lightning.report.flow import Flow, flow_drawing
from anemia_lightning.report.page import write_page
from anemia_lightning.report.provenance import loud_labels
from anemia_lightning.report.run_facts import flattened, how_it_was_made, where_to_find
from anemia_lightning.report.sections import Album, Figure, Section

AID = (
    "The model is a screening aid, not a diagnosis: whoever it refers needs a blood test, and some whom it calls not "
    "anaemic are anaemic."
)

FIGURES = {
    "confusion": ("Key scores", "Decisions on the test photos"),
    "baselines": ("Against baselines", "AUROC of the network and of each baseline"),
    "roc": ("Curves", "ROC curve: the share of the anaemic that is found, over that of the others called anaemic"),
    "precision_recall": ("Curves", "Precision and recall, beside the prevalence that guessing would give"),
    "reliability": ("Calibration", "How often photos of each probability are anaemic"),
    "decision_curve": ("Usefulness", "Net benefit over thresholds"),
    "prevalence": ("In other populations", "1,000 people over prevalences of anaemia"),
    "subgroups": ("Who it works for", "AUROC of each group"),
    "subgroups_sensitivity": ("Who it works for", "Sensitivity of each group"),
    "sites": ("Who it works for", "AUROC of each site, and where that of a further site may lie"),
    "robustness": ("Robustness", "Decisions flipped, and how far the logit moves"),
    "risk_coverage": ("Uncertainty", "What abstaining buys"),
    "curves": ("How it was made", "Loss, accuracy and learning rates over the epochs"),
    "training_photos": ("How it was made", "Training photos as the network sees them, augmented"),
}
"""By file name: the chapter that a figure belongs to, and its caption. Others stand in a chapter of their own."""

MOST_BYTES = 9_000_000
"""What figures and photos may take in a page, so that it can be sent by mail."""

_FURTHER = "Further figures"


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """All that the page of a run shows, as plain values; what is empty is left out."""

    title: str
    facts: Mapping[str, Any]
    """What run.json holds; of a cross-validation what its folds share."""
    settings: Mapping[str, Any]
    """The run's configuration, nested as it is."""
    assessment: Mapping[str, Any] = field(default_factory=dict)
    """What assessment.json holds."""
    summary: Sequence[str] = ()
    """Sentences on the run itself, which follow those of the assessment."""
    warnings: Sequence[str] = ()
    """What a reader must know before believing a number, beside what the assessment warns of."""
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of a training run, the scores of each split, as in metrics.json."""
    folds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of a cross-validation, the scores of each fold, as in metrics.json."""
    figures: Mapping[str, bytes] = field(default_factory=dict)
    """PNG by file name without its ending; `FIGURES` says where each goes."""
    looks: Mapping[str, Any] = field(default_factory=dict)
    """What looks.json holds."""
    albums: Sequence[Album] = ()
    """Photos; empty where they must not be shown."""
    sections: Sequence[Section] = ()
    """Further chapters, which follow the photos."""
    scope: Sequence[str] = ()
    """For the model card: whom the model has not learnt from, in sentences."""
    flow: Flow | None = None
    people: Section | None = None
    """Table 1."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What else lies in the folder: each file's name, and what it holds."""


class Chapter(NamedTuple):
    """A chapter of the page."""

    section: Section
    albums: Sequence[Album] = ()
    flow: Mapping[str, object] | None = None
    settings: Sequence[tuple[str, str]] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing below its title."""
        return not any((*self.section[1:], self.albums, self.flow, self.settings))


def write_run_page(path: Path, report: RunReport) -> None:
    """Writes the page of a run; whoever opens it finds the old one or the new one, never a part.

    Args:
        path: The HTML file, in a folder that is there.
        report: What it shows; every text in it is taken literally.
    """
    write_page(
        path,
        "run.html.j2",
        title=report.title,
        labels=loud_labels(report.facts, report.settings),
        summary=[*report.assessment.get("summary", ()), *report.summary, AID],
        warnings=list(dict.fromkeys([*report.warnings, *report.assessment.get("warnings", ())])),
        chapters=run_chapters(report),
    )


def run_chapters(report: RunReport) -> list[Chapter]:
    """Returns the chapters that have something to say, in their order, each with its figures."""
    found = [each if isinstance(each, Chapter) else Chapter(each) for each in _chapters(report) if each is not None]
    figures = _figures(report.figures, {chapter.section.title for chapter in found})
    illustrated = (
        chapter._replace(section=_with_figures(chapter.section, figures.get(chapter.section.title, ())))
        for chapter in found
    )
    return [chapter for chapter in illustrated if not chapter.is_empty]


def chapter_titles(report: RunReport) -> list[str]:
    """Returns the titles of the page's chapters."""
    return [chapter.section.title for chapter in run_chapters(report)]


def _chapters(report: RunReport) -> Iterator[Chapter | Section | None]:
    yield from _scores(report)
    yield group_sections.what_it_looks_at(report.looks)
    yield group_sections.robustness(report.looks)
    if report.assessment:
        yield group_sections.uncertainty(report.assessment)
    figures = sum(map(len, report.figures.values()))
    for album in fit_albums(report.albums, most_bytes=MOST_BYTES - figures * 4 / 3):
        yield Chapter(Section(album.title, album.says), [album]) if album.groups else None
    yield from report.sections
    yield Section(_FURTHER, ())
    if report.flow:
        yield Chapter(Section("Participants", ()), flow=flow_drawing(report.flow))
    yield report.people
    are_named = not report.assessment.get("counts", {}).get("unnamed")
    made = how_it_was_made(report.facts, report.settings, folds=len(report.folds), are_named=are_named)
    yield Chapter(made, settings=list(flattened(report.settings)))
    yield where_to_find(report.files)


def _scores(report: RunReport) -> Iterator[Section | None]:
    if report.assessment:
        yield score_sections.key_scores(report.assessment, report.scores)
        yield score_sections.against_baselines(report.assessment)
    yield score_sections.fold_by_fold(report.folds)
    yield Section("Curves", ())
    if report.assessment:
        yield score_sections.calibration(report.assessment)
        yield score_sections.usefulness(report.assessment)
        yield score_sections.populations(report.assessment)
        yield group_sections.subgroups(report.assessment)


def _figures(pictures: Mapping[str, bytes], titles: set[str]) -> dict[str, list[Figure]]:
    """Returns the figures of each chapter, by its title, in the order of `FIGURES`."""
    figures: dict[str, list[Figure]] = {}
    for name in sorted(pictures, key=lambda name: list(FIGURES).index(name) if name in FIGURES else len(FIGURES)):
        title, caption = FIGURES.get(name, (_FURTHER, name.replace("_", " ")))
        figures.setdefault(title if title in titles else _FURTHER, []).append(Figure(caption, pictures[name]))
    return figures


def _with_figures(section: Section, figures: Sequence[Figure]) -> Section:
    return section._replace(figures=[*section.figures, *figures])
