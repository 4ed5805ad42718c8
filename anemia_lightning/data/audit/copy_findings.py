"""What is wrong because of copies: splits that leak, labels that contradict each other, patients who share an eye."""

from collections.abc import Iterator

import numpy as np

from anemia_lightning.data.audit.evidence import Evidence, Finding, Question, counted, enumerated, first_few
from anemia_lightning.data.recuts import SAME_PHOTO_SCORE

CLOSE = 0.75
"""From this share of the score that joins two photos on, a pair is worth a look."""


def _given_split(evidence: Evidence) -> Iterator[Finding]:
    leak = evidence.given_leak
    if leak is None or not leak["crossing"].any():
        return
    rows = leak.set_index("grain")["crossing"]
    crossing = [counted(int(rows["patient"]), "patient")] if rows["patient"] else []
    crossing += [counted(int(rows.iloc[-1]), "photograph")] if rows.iloc[-1] else []
    met = leak["test"].max()
    shown = f" {met:.0%} of its test photos have a copy or their patient in training." if met > 0 else ""
    yield Finding(
        "AUDIT_GIVEN_SPLIT_LEAKS",
        "stop",
        f"The split that comes with the data leaks:{shown} Standing in more than one split: {enumerated(crossing)}.",
        "Leave the given split out (split.file=null, an empty split column) and have one drawn, or move each group of "
        "copies.csv into one split.",
    )


def _impossible_split(evidence: Evidence) -> Iterator[Finding]:
    if evidence.impossible:
        yield Finding(
            "AUDIT_SPLIT_IMPOSSIBLE",
            "stop",
            f"There is no split that keeps patients and copies together. {evidence.impossible}",
            "Add photographs of other patients, or change split.fractions.",
        )


def _opposite_labels(evidence: Evidence) -> Iterator[Finding]:
    listed = evidence.listed
    same_file = listed[listed["opposite"] == "bytes"]
    if len(same_file):
        groups = [
            enumerated(list(map(_with_hemoglobin, rows["photo"], rows["label"], rows["hemoglobin_g_dl"])))
            for _, rows in same_file.groupby("group_bytes", sort=False)
        ]
        yield Finding(
            "AUDIT_SAME_FILE_OPPOSITE_LABELS",
            "warn",
            f"{counted(len(groups), 'file', 'stands', 'stand')} in the data under both labels: "
            f"{first_few(groups, '; ')}.",
            "At most one of the labels can be right: ask who collected the data. Until then train leaves these out "
            "(data.on_label_conflict=drop).",
            tuple(same_file["photo"]),
        )
    crossing = listed[listed["opposite"] != ""]
    if len(crossing):
        groups_across = crossing["group"].nunique()
        yield Finding(
            "AUDIT_COPIES_ACROSS_CLASSES",
            "warn",
            f"{counted(groups_across, 'photograph', 'stands', 'stand')} in the data as anaemic and as not anaemic, "
            f"in {listed['group'].isin(crossing['group']).sum()} photos.",
            "train leaves all of these photos out (data.on_label_conflict=drop), or lets the majority of the copies "
            "decide (=majority).",
            tuple(listed["photo"][listed["group"].isin(crossing["group"])]),
        )


def _copies(evidence: Evidence) -> Iterator[Finding]:
    widest = evidence.copies.iloc[-1]
    if not widest["groups"]:
        return
    rows = len(evidence.described)
    leaked = float(evidence.expected_leak["leaked"].iloc[-1])
    yield Finding(
        "AUDIT_COPIES",
        "warn",
        f"The {rows} photos show {widest['distinct']} distinct photographs: {widest['photos']} photos are copies of "
        f"one another, in {widest['groups']} groups, the largest of {widest['largest']}. A random split would put a "
        f"copy of {leaked:.0%} of the test photos into training, and its scores would be too good.",
        "Nothing, if you split with this program: it keeps copies together (data.photo_groups=recut). Scores from a "
        "random split of these data, yours or published, cannot be believed.",
    )
    for column, noun in (("across_patients", "patient"), ("across_sites", "site")):
        if widest[column]:
            yield Finding(
                f"AUDIT_COPIES_{column.upper()}",
                "warn",
                f"{counted(int(widest[column]), 'photograph', 'stands', 'stand')} in the data under more than "
                f"one {noun}.",
                "Patient ids of these data do not tell persons apart: split by photo group too, as this program does."
                if noun == "patient"
                else "Leaving one site out leaks too, unless copies at other sites are dropped, as crossval does.",
            )
    if widest["other_hemoglobin"]:
        yield Finding(
            "AUDIT_COPIES_OTHER_HEMOGLOBIN",
            "warn",
            f"{counted(int(widest['other_hemoglobin']), 'photograph', 'carries', 'carry')} more than one haemoglobin, "
            f"up to {widest['spread_highest_g_dl']:.1f} g/dL apart.",
            "Do not trust a haemoglobin of these data to belong to its photograph; no model can predict it better "
            "than that.",
        )


def _near_pairs(evidence: Evidence) -> Iterator[Finding]:
    close = int((evidence.near["score"] >= CLOSE * SAME_PHOTO_SCORE).sum())
    if close:
        yield Finding(
            "AUDIT_NEAR_PAIRS",
            "info",
            f"{counted(close, 'pair')} of photos came close to being joined as cut-outs of one photograph.",
            "Look at them in audit.html: where two show one photograph, give both the same photo_group in the data.",
        )


def _with_hemoglobin(photo: str, label: int, hemoglobin_g_dl: float) -> str:
    known = "" if np.isnan(hemoglobin_g_dl) else f", {hemoglobin_g_dl:g} g/dL"
    return f"{photo} ({'anaemic' if label == 1 else 'not anaemic'}{known})"


COPY_QUESTIONS: tuple[Question, ...] = (_given_split, _impossible_split, _copies, _opposite_labels, _near_pairs)
"""What to ask of copies and splits."""
