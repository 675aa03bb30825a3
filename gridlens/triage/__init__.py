"""The local page on which people inspect and grade the best of a table of scores, and retrain the model."""

from gridlens.triage._export import Exported, export_page
from gridlens.triage._serve import serve

__all__ = ["Exported", "export_page", "serve"]
