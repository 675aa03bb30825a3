"""The local page for inspecting and grading the best objects of a table of scores, and for retraining the model."""

from gridlens.triage._export import Exported, export_page
from gridlens.triage._serve import serve

__all__ = ["Exported", "export_page", "serve"]
