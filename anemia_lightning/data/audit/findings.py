"""All that is wrong with data, the worst first, each finding with a stable code and what to do."""

from collections.abc import Sequence

from anemia_lightning.data.audit.copy_findings import COPY_QUESTIONS
from anemia_lightning.data.audit.evidence import SEVERITIES, Evidence, Finding
from anemia_lightning.data.audit.photo_findings import PHOTO_QUESTIONS


def find_problems(evidence: Evidence) -> list[Finding]:
    """Returns what is worth saying about the data, the worst first."""
    found = [finding for question in (*COPY_QUESTIONS, *PHOTO_QUESTIONS) for finding in question(evidence)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def is_sound(findings: Sequence[Finding]) -> bool:
    """Returns whether a sound split is to be had: no finding says stop."""
    return all(finding.severity != "stop" for finding in findings)
