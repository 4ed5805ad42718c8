"""What a run has to say to people: its page, its model card, its participants, its checklists."""

from anemia_lightning.report.documents import write_documents
from anemia_lightning.report.page import NOTICE
from anemia_lightning.report.run_page import RunReport

__all__ = ["NOTICE", "RunReport", "write_documents"]
