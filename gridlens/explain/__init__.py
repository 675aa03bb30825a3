"""Why a cutout scored as it did: contributions of the features to the log-odds of the stack.

`Explainer` says what each of the 315 features and each member adds, exactly; `by_group`, `by_feature` and `by_patch`
add that up, `strongest_terms` puts it into words. `importance` and `permutation_importance` tell what a model leans on
over many cutouts. `explain_table` explains the best rows of a table of scores. `draw_card`, `write_card` and
`write_explanations` make pictures and pages of it; they need matplotlib.
"""

from gridlens.explain._aggregate import by_feature, by_group, by_patch
from gridlens.explain._card import draw_card, write_card
from gridlens.explain._explainer import Explainer, Explanation
from gridlens.explain._importance import importance, permutation_importance
from gridlens.explain._pictures import lupton_rgb
from gridlens.explain._plots import plot_beeswarm, plot_dependence, plot_importance
from gridlens.explain._report import write_explanations
from gridlens.explain._sample import CARDS, Sample, explain_table, read_one
from gridlens.explain._terms import Term, arc_patch, because, strongest_terms
from gridlens.explain._words import feature_words

__all__ = [
    "CARDS",
    "Explainer",
    "Explanation",
    "Sample",
    "Term",
    "arc_patch",
    "because",
    "by_feature",
    "by_group",
    "by_patch",
    "draw_card",
    "explain_table",
    "feature_words",
    "importance",
    "lupton_rgb",
    "permutation_importance",
    "plot_beeswarm",
    "plot_dependence",
    "plot_importance",
    "read_one",
    "strongest_terms",
    "write_card",
    "write_explanations",
]
