"""What is wrong with photos, labels and files: unreadable, contradicted by haemoglobin, giving the class away."""

from collections.abc import Iterator, Sequence

import pandas as pd

from anemia_lightning.contracts import names_patient
from anemia_lightning.data.audit.evidence import Evidence, Finding, Question, counted, enumerated, first_few
from anemia_lightning.data.audit.photos import CLIPPED, MUCH_CLIPPED
from anemia_lightning.data.labels import NEAR_G_DL, UNLABELLED

FOLLOWS = 0.3
"""From this Cramér's V on, the class follows a column: a medium effect (Cohen 1988, section 7.2)."""

FEW = 100
"""Fewer photos of a class than this leave wide intervals (Collins et al. 2016, doi:10.1002/sim.6787)."""

_UNREADABLE = ("IMG_", "MASK_")
"""With what the codes of photos begin that cannot be decoded."""

_CERTAIN = 0.001
_CHANCE = 0.5


def _unreadable(evidence: Evidence) -> Iterator[Finding]:
    excluded = evidence.excluded
    if len(excluded):
        named = [f"{row['photo']} ({row['reason']})" for row in excluded.to_dict("records")]
        yield Finding(
            "AUDIT_UNUSABLE",
            "warn",
            f"{counted(len(excluded), 'photo')} cannot be used: {first_few(named, '; ')}.",
            _advice([str(reason) for reason in excluded["reason"]]),
            tuple(excluded["photo"]),
        )


def _advice(reasons: Sequence[str]) -> str:
    """Returns what to do about photos that are left out for these reasons."""
    unreadable = [reason for reason in reasons if reason.startswith(_UNREADABLE)]
    unlabelled = [reason for reason in reasons if reason.startswith(UNLABELLED)]
    parts = []
    if unreadable:
        parts.append("replace those that cannot be decoded, or leave them out with data.on_unreadable=skip")
    if unlabelled:
        parts.append("complete those without a label, or leave them out with data.on_unlabelled=drop")
    if not parts:
        return "Nothing: every command leaves these out."
    if len(unreadable) + len(unlabelled) < len(reasons):
        parts.append("every command leaves out the others")
    advice = "; ".join(parts)
    return f"{advice[0].upper()}{advice[1:]}."


def _labels(evidence: Evidence) -> Iterator[Finding]:
    check = evidence.labels
    if check.contradicting:
        yield Finding(
            "AUDIT_LABEL_AGAINST_HEMOGLOBIN",
            "warn",
            f"{counted(len(check.contradicting), 'label', 'contradicts', 'contradict')} the photo's haemoglobin "
            f"under every rule: {first_few(check.contradicting)}.",
            f"Check label and haemoglobin of these; the other labels follow {check.cutoff_g_dl:g} g/dL.",
            tuple(check.contradicting),
        )
    if check.near:
        cutoff = "their cut-off" if check.cutoff_g_dl is None else f"the cut-off, {check.cutoff_g_dl:g} g/dL"
        yield Finding(
            "AUDIT_NEAR_CUTOFF",
            "info",
            f"{counted(check.near, 'photo')} of {check.known} stand within {NEAR_G_DL:g} g/dL of {cutoff}, where a "
            "label may be measurement error.",
            "Report scores with and without them.",
        )


def _other_rules(evidence: Evidence) -> Iterator[Finding]:
    flips = [
        f"{flip['flips']} of {flip['of']} by the rule {rule}" for rule, flip in evidence.flips.items() if flip["flips"]
    ]
    if flips:
        yield Finding(
            "AUDIT_LABELS_DEPEND_ON_RULE",
            "info",
            f"Under another rule some labels would differ: {enumerated(flips)}.",
            "Name the rule with every score, and choose it on purpose (labels=own, who2024, who2011, fixed).",
        )


def _shortcuts(evidence: Evidence) -> Iterator[Finding]:
    for name, (auroc, low, high) in evidence.probes.items():
        if low > _CHANCE:
            yield Finding(
                "AUDIT_SHORTCUT",
                "warn",
                f"Without a look at the tissue, {name} alone can tell the classes apart: AUROC {auroc:.2f} "
                f"[{low:.2f}, {high:.2f}], copies kept together.",
                f"A network may learn {name} in place of anaemia: it must beat this baseline, and be tested where "
                f"{name} cannot help.",
            )
    for row in evidence.associations.to_dict("records"):
        if row["cramers_v"] >= FOLLOWS and row["p_value"] < _CERTAIN:
            yield Finding(
                "AUDIT_CLASS_FOLLOWS",
                "warn",
                f"The class follows the {str(row['column']).replace('_', ' ')} (Cramér's V {row['cramers_v']:.2f}).",
                "See the counts: a network could learn this in place of anaemia. Report scores within each value.",
            )


def _numbers(evidence: Evidence) -> Iterator[Finding]:
    described = evidence.described
    for label, name in ((1, "anaemic"), (0, "non-anaemic")):
        distinct = described.loc[described["label"] == label, "group_recut"].nunique()
        if distinct < FEW:
            yield Finding(
                "AUDIT_FEW_PHOTOS",
                "info",
                f"There are only {distinct} distinct {name} photographs.",
                "Cross-validate (crossval), and believe no score without its interval.",
            )
    if not names_patient(described).any():
        yield Finding(
            "AUDIT_NO_PATIENTS",
            "info",
            "The data name no patients, so each photo counts as a patient of its own.",
            "Where a person has several photographs, say so: two different photographs of one eye are not found as "
            "copies.",
        )
    unused = [str(row["column"]) for row in evidence.missing.to_dict("records") if 0 < row["share"] < 1]
    if unused:
        yield Finding(
            "AUDIT_MISSING_VALUES",
            "info",
            f"Some photos lack values that others have: {enumerated([name.replace('_', ' ') for name in unused])}.",
            "See the table of missing values.",
        )


def _patients(evidence: Evidence) -> Iterator[Finding]:
    named = evidence.described[names_patient(evidence.described)]
    for column, plural in (("sex", "sexes"), ("site", "sites")):
        values = named[named[column] != ""].groupby("patient")[column].nunique()
        several = [str(patient) for patient in values.index[values > 1]]
        if several:
            yield Finding(
                f"AUDIT_PATIENT_SEVERAL_{plural.upper()}",
                "warn",
                f"{counted(len(several), 'patient', 'has', 'have')} photos under more than one {column}: "
                f"{first_few(several)}.",
                "Do names begin anew at each site? Then several people share one, and their photos are judged as one "
                "person's: make names differ, such as by the site before the number.",
            )
    yield from _visits(named)


def _visits(named: pd.DataFrame) -> Iterator[Finding]:
    by_patient = named.groupby("patient")
    spread = by_patient["hemoglobin_g_dl"].max() - by_patient["hemoglobin_g_dl"].min()
    several = spread.index[spread > 0]
    if len(several):
        mixed = int((by_patient["label"].nunique()[several] > 1).sum())
        yield Finding(
            "AUDIT_PATIENT_SEVERAL_HEMOGLOBINS",
            "info",
            f"{counted(len(several), 'patient', 'has', 'have')} more than one haemoglobin, up to "
            f"{spread.max():.1f} g/dL apart; {mixed} of them photos of both classes.",
            "Check that these are visits: each photo needs the haemoglobin of its own day. Visits stay on one side of "
            "a split; where a patient has both labels, scores are by photo alone.",
        )


def _files(evidence: Evidence) -> Iterator[Finding]:
    is_clipped = evidence.outliers["measure"].isin(CLIPPED)
    clipped = tuple(dict.fromkeys(evidence.outliers["photo"][is_clipped]))
    if clipped:
        yield Finding(
            "AUDIT_CLIPPED",
            "info",
            f"{counted(len(clipped), 'photo', 'is', 'are')} black or burnt out over {MUCH_CLIPPED:.0%} of the "
            f"tissue or more: {first_few(clipped)}.",
            "Colour cannot be told there; look at them.",
            clipped,
        )
    outliers = evidence.outliers[~is_clipped]
    if len(outliers):
        photos = tuple(dict.fromkeys(outliers["photo"]))
        measures = [measure.replace("_", " ") for measure in dict.fromkeys(outliers["measure"])]
        yield Finding(
            "AUDIT_UNUSUAL_PHOTOS",
            "info",
            f"{counted(len(photos), 'photo', 'is', 'are')} far from the others in "
            f"{enumerated(measures)}: {first_few(photos)}.",
            "Look at them.",
            photos,
        )


def _reading(evidence: Evidence) -> Iterator[Finding]:
    turned = evidence.described.loc[evidence.described["orientation"] > 1, "photo"]
    if len(turned):
        yield Finding(
            "AUDIT_EXIF_ORIENTATION",
            "info",
            f"{counted(len(turned), 'photo', 'lies', 'lie')} on the side or head until the EXIF "
            f"orientation is applied.",
            "Nothing: this program applies it. Other programs may not.",
            tuple(turned),
        )
    noted = evidence.described[evidence.described["notes"] != ""]
    if len(noted):
        kinds = [f"{count} {note}" for note, count in noted["notes"].value_counts().items()]
        yield Finding(
            "AUDIT_READING_NOTES",
            "info",
            f"{counted(len(noted), 'photo')} could be read, but not as it should be: {first_few(kinds, '; ')}.",
            "Nothing, if they look right in audit.html.",
            tuple(noted["photo"]),
        )


PHOTO_QUESTIONS: tuple[Question, ...] = (
    _unreadable,
    _labels,
    _other_rules,
    _shortcuts,
    _numbers,
    _patients,
    _files,
    _reading,
)
"""What to ask of the photos themselves."""
