"""What a run has to say to people: its HTML report."""

from anemia_lightning.report.html import write_report
from anemia_lightning.report.page import NOTICE

__all__ = ["NOTICE", "write_report"]
