"""Models on disk: bundles of data, the recipe of the bundled one, and the bundled one itself."""

from gridlens.models._bundle import load_model, model_folder, read_manifest, save_model

__all__ = ["load_model", "model_folder", "read_manifest", "save_model"]
