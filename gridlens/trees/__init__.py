"""Boosted trees as arrays: scores, exact TreeSHAP and files, independent of the library that grew them.

`Trees` holds a validated ensemble. `from_lightgbm` and `from_xgboost` convert boosters, and saved models without
running the parsers of LightGBM or XGBoost. `lightgbm_booster` and `xgboost_booster` run these parsers on validated
content.
"""

from gridlens.trees._lightgbm import from_lightgbm
from gridlens.trees._trees import Trees
from gridlens.trees._xgboost import from_xgboost

__all__ = [
    "Trees",
    "from_lightgbm",
    "from_xgboost",
]
