"""Tests of catalogue context on candidate sheets."""

from gridlens.reports._sheet_values import context_words

KNOWN = {
    "context_known_lens": "A1703",
    "context_known_type": "cluster",
    "context_known_grade": "confident",
    "context_known_sep": 1.23,
    "context_known_chance": 3e-4,
}
RADII = {
    "context_theta_e_p16": 4.0,
    "context_theta_e_p50": 8.0,
    "context_theta_e_p84": 12.0,
    "context_p_theta_e_gt_10": 0.3,
    "context_proxy": "log_xray_luminosity",
}


def test_descriptions_of_the_context():
    assert context_words({"id": "a"}) == ""
    assert context_words(KNOWN | {"context_known_lens": ""}) == "No known lens."
    assert context_words(KNOWN | {"context_known_lens": float("nan")}) == "No known lens."
    assert context_words(KNOWN) == (
        "Known lens A1703 (cluster, confident) at 1.2 arcsec; probability of a chance match 0.0003."
    )
    assert context_words(RADII) == (
        "Expected Einstein radius 8.0 arcsec [4.0, 12.0] from the X-ray luminosity; probability of more than 10 arcsec "
        "0.3."
    )
