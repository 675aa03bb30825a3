"""Boosted trees as arrays: scores, exact TreeSHAP and files, without the library that grew the trees.

`Trees` holds an ensemble and checks it. `from_lightgbm` and `from_xgboost` convert boosters, and saved models without
running LightGBM's or XGBoost's own parser. `lightgbm_booster` and `xgboost_booster` run that parser on content that was
checked first.
"""

from gridlens.trees._lightgbm import from_lightgbm
from gridlens.trees._trees import Trees
from gridlens.trees._xgboost import from_xgboost

__all__ = [
    "Trees",
    "from_lightgbm",
    "from_xgboost",
]
