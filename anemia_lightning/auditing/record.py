"""What audit.json holds: all that the audit has found, as plain values."""

from typing import Any

import pandas as pd
from omegaconf import DictConfig

from anemia_lightning.assessment.plain import plain
from anemia_lightning.data.audit import photos as tables
from anemia_lightning.data.audit.copies import count_distinct
from anemia_lightning.data.audit.evidence import Evidence
from anemia_lightning.data.audit.findings import find_problems, is_sound
from anemia_lightning.data.labels import NEAR_G_DL
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.report.patient_words import count_patients


def audit_record(
    cfg: DictConfig, prepared: Prepared, evidence: Evidence, grouping: pd.DataFrame | None
) -> dict[str, Any]:
    """Returns the whole audit.

    Args:
        cfg: The command's settings.
        prepared: The photos.
        evidence: What was found about them.
        grouping: Of `leakage.compare_grains`; None if the probes were switched off.
    """
    findings = find_problems(evidence)
    manifest, described = prepared.manifest, evidence.described
    numbers = count_patients(manifest)
    record = {
        "data": {
            "name": cfg.data.name,
            "root": cfg.data.get("root"),
            "caution": cfg.data.get("caution"),
            "photos": len(manifest),
            "patients": numbers.patients,
            "unnamed": numbers.unnamed,
            "anaemic": int(manifest["label"].sum()),
        },
        "sound": is_sound(findings),
        "findings": [finding._asdict() for finding in findings],
        "distinct_photographs": count_distinct(manifest),
        "copies": evidence.copies,
        "leak": {"test_share": cfg.test_share, "random": evidence.expected_leak, "given": evidence.given_leak},
        "grouping": None if grouping is None else _grouping_rows(grouping),
        "labels": prepared.labels,
        "hemoglobin": {**evidence.labels._asdict(), "near_g_dl": NEAR_G_DL},
        "counts": tables.count_classes(described),
        "associations": evidence.associations,
        "files": {"measures": tables.measure_files(described), "outliers": evidence.outliers},
        "missing": evidence.missing,
        "excluded": {
            "codes": tables.count_excluded(prepared.excluded),
            "photos": prepared.excluded.reindex(columns=["photo", "reason"]),
        },
        "near": prepared.near,
        "settings": {name: cfg[name] for name in ("probes", "folds", "repeats", "seed")},
    }
    values: dict[str, Any] = plain(record)
    return values


def _grouping_rows(grouping: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns one entry per grain, with an AUROC by baseline."""
    rows = []
    for counts, scores in grouping.groupby(["grain", "photos", "groups", "dropped"], sort=False):
        aurocs = {
            row["baseline"]: {"value": row["auroc"], "low": row["low"], "high": row["high"]}
            for row in scores.to_dict("records")
        }
        rows.append({**dict(zip(("grain", "photos", "groups", "dropped"), counts, strict=True)), "auroc": aurocs})
    return rows
