"""Explanations of scores: contributions of the features to the log-odds of the stack.

`Explainer` computes the exact contribution of each of the 315 features and of each member. `by_group`, `by_feature` and
`by_patch` sum contributions, and `strongest_terms` describes them in words. `importance` and `permutation_importance`
show what a model depends on over many cutouts. `explain_table` explains the best rows of a score table.
`Explanation.to_shap` converts contributions for the plots of the package shap; `gridlens.reports` draws candidate
sheets and writes pages.
"""

from gridlens.explain._aggregate import by_feature, by_group, by_patch
from gridlens.explain._explainer import Explainer, Explanation
from gridlens.explain._importance import importance, permutation_importance
from gridlens.explain._sample import explain_table
from gridlens.explain._terms import because, strongest_terms
from gridlens.explain._words import feature_words

__all__ = [
    "Explainer",
    "Explanation",
    "because",
    "by_feature",
    "by_group",
    "by_patch",
    "explain_table",
    "feature_words",
    "importance",
    "permutation_importance",
    "strongest_terms",
]
