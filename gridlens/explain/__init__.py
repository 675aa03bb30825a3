"""Why a cutout scored as it did: contributions of the features to the log-odds of the stack.

`Explainer` computes what each of the 315 features and each member adds, exactly; `by_group`, `by_feature` and
`by_patch` add contributions up, and `strongest_terms` puts them into words. `importance` and `permutation_importance`
say what a model depends on over many cutouts. `explain_table` explains the best rows of a table of scores.
`Explanation.to_shap` hands contributions to the plots of the package shap; `gridlens.reports` draws candidate sheets
and writes pages.
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
