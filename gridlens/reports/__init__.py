"""Reports, candidate sheets and plots, drawn with matplotlib and written with jinja2 templates.

`write_evaluation` writes a page about an evaluation, `write_explanations` a page about the best candidates of a table,
and `write_candidate_sheet` a page about a single candidate; `draw_contact_sheet` draws many candidates in one figure.
Each page is self-contained, without scripts or other files. Both libraries are in the extra ``explain`` (``pip install
'gridlens[explain]'``) and are imported on first use.
"""

from gridlens.reports._color import lupton_rgb
from gridlens.reports._contact import draw_contact_sheet
from gridlens.reports._evaluation import write_evaluation
from gridlens.reports._evaluation_plots import (
    plot_discovery,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
    plot_strata,
)
from gridlens.reports._explanation_plots import plot_beeswarm, plot_dependence, plot_importance
from gridlens.reports._explanations import write_explanations
from gridlens.reports._pictures import draw_candidate
from gridlens.reports._sheet import draw_candidate_sheet, write_candidate_sheet

__all__ = [
    "draw_candidate",
    "draw_candidate_sheet",
    "draw_contact_sheet",
    "lupton_rgb",
    "plot_beeswarm",
    "plot_dependence",
    "plot_discovery",
    "plot_importance",
    "plot_precision_recall",
    "plot_reliability",
    "plot_roc",
    "plot_strata",
    "write_candidate_sheet",
    "write_evaluation",
    "write_explanations",
]
