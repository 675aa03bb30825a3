"""Tests of `estimate_class_prior`: known priors, both schemes, intervals, notes and errors."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.svm import LinearSVC

from gridlens.pu import estimate_class_prior
from gridlens.pu._prior import ClassPrior


def scores_of(seed, share, separation, n_p=500, n_u=5000):
    """Return scores of positives and unlabelled rows, positives first, and s."""
    rng = np.random.default_rng(seed)
    unlabelled = rng.normal(size=n_u) + separation * (rng.random(n_u) < share)
    return np.concatenate([rng.normal(separation, 1, n_p), unlabelled]), np.repeat([1, 0], [n_p, n_u])


def probabilities(scores, s, share, separation):
    """Return the true P(s = 1) at each score."""
    n_p, n_u = s.sum(), (s == 0).sum()
    p, n = norm.pdf(scores - separation), norm.pdf(scores)
    return n_p * p / (n_p * p + n_u * (share * p + (1 - share) * n))


def limit(s, share, separation):
    """Return the Elkan-Noto estimate for true probabilities and infinite positives, biased high by the overlap."""
    grid = np.linspace(-8, separation + 8, 20001)
    p = norm.pdf(grid - separation)
    n_p, n_u = s.sum(), (s == 0).sum()
    g = n_p * p / (n_p * p + n_u * (share * p + (1 - share) * norm.pdf(grid)))
    c = np.sum(g * p) * (grid[1] - grid[0])
    return (1 - c) / c * n_p / n_u


# Largest bias: where classes overlap, the best bin holds negatives, and more of them if positives are rare.
@pytest.mark.parametrize(("separation", "tolerance"), [(1, 0.35), (2, 0.12), (3, 0.05)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_best_bin_bias_is_positive_and_decreases_with_separation(separation, tolerance, share):
    found = [
        estimate_class_prior(*scores_of(seed, share, separation), scheme="separate", n_bootstrap=2).value
        for seed in range(10)
    ]
    assert -0.02 < np.mean(found) - share < tolerance


@pytest.mark.parametrize("separation", [2, 3])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_elkan_noto_matches_its_formula_in_the_limit(separation, share):
    expected = limit(np.repeat([1, 0], [500, 5000]), share, separation)
    assert share < expected
    found = []
    for seed in range(10):
        scores, s = scores_of(seed, share, separation)
        p = probabilities(scores, s, share, separation)
        found.append(estimate_class_prior(p, s, method="elkan-noto", scheme="separate", n_bootstrap=2).value)
    assert np.mean(found) == pytest.approx(expected, rel=0.05)


def test_single_scheme_counts_the_labelled_rows_like_elkan_and_noto():
    p, s = np.array([0.5, 0.3, 0.2, 0.1, 0.4, 0.0, 0.1, 0.0, 0.0, 0.0]), np.repeat([1, 0], [2, 8])
    prior = estimate_class_prior(p, s, method="elkan-noto", random_state=0)
    assert prior.value == pytest.approx(0.2 / 0.4)
    separate = estimate_class_prior(p, s, method="elkan-noto", scheme="separate", random_state=0)
    assert separate.value == pytest.approx((0.6 / 0.4) * 2 / 8)
    assert prior.value == pytest.approx((2 + 8 * separate.value) / 10)


@pytest.mark.parametrize("method", ["best-bin", "elkan-noto", "km2"])
def test_schemes_differ_only_by_the_labelled_rows(method):
    scores, s = scores_of(0, 0.3, 4, 100, 400)
    x = probabilities(scores, s, 0.3, 4) if method == "elkan-noto" else scores
    single, separate = (
        estimate_class_prior(x, s, method=method, scheme=scheme, n_bootstrap=10, random_state=0)
        for scheme in ("single", "separate")
    )
    for end in ("value", "low", "high"):
        assert getattr(single, end) == pytest.approx((100 + 400 * getattr(separate, end)) / 500)
    assert (single.bound is None) == (method != "best-bin")
    if single.bound is not None:
        np.testing.assert_allclose(single.bound, 0.2 + 0.8 * np.array(separate.bound))


def test_single_scheme_estimates_the_prior_of_the_whole_sample():
    rng = np.random.default_rng(0)
    y = rng.random(20000) < 0.3
    s = (y & (rng.random(20000) < 0.4)).astype(int)
    prior = estimate_class_prior(rng.normal(size=20000) + 4 * y, s, random_state=0)
    assert prior.value == pytest.approx(0.3, abs=0.01)
    assert prior.low < y.mean() < prior.high


@pytest.mark.slow
@pytest.mark.parametrize(("method", "separation"), [("best-bin", 5), ("elkan-noto", 2)])
def test_interval_covers_the_estimated_quantity(method, separation):
    covered = 0
    for seed in range(200):
        scores, s = scores_of(seed, 0.3, separation, 300, 2000)
        # Best bins of classes 5 apart have no bias. Elkan-Noto has a known bias, so the classes may be closer.
        truth, x = 0.3, scores
        if method == "elkan-noto":
            truth, x = limit(s, 0.3, separation), probabilities(scores, s, 0.3, separation)
        prior = estimate_class_prior(x, s, method=method, scheme="separate", n_bootstrap=100, random_state=seed)
        covered += prior.low <= truth <= prior.high
    assert 0.9 < covered / 200 < 0.99


@pytest.mark.parametrize("method", ["best-bin", "elkan-noto", "km2"])
@pytest.mark.parametrize("scheme", ["single", "separate"])
@pytest.mark.parametrize(("share", "separation"), [(0.02, 1), (0.5, 1), (0.3, 4), (0.9, 0)])
def test_interval_contains_its_estimate(method, scheme, share, separation):
    for seed in range(3):
        scores, s = scores_of(seed, share, separation, 40, 200)
        x = probabilities(scores, s, share, separation) if method == "elkan-noto" else scores
        prior = estimate_class_prior(x, s, method=method, scheme=scheme, n_bootstrap=10, random_state=seed)
        assert 0.0 <= prior.low <= prior.value <= prior.high <= 1.0
        if prior.bound is not None:
            assert prior.bound[0] <= prior.value <= prior.bound[1]


def test_missing_and_constant_features_have_little_effect():
    rng = np.random.default_rng(0)
    y = rng.random(300) < 0.4
    x = rng.normal(size=(300, 3)) + 4 * np.c_[y, y, 0 * y]
    s = (y & (rng.random(300) < 0.5)).astype(int)
    options = {"n_bootstrap": 4, "random_state": 0}
    wider = np.c_[x, np.full((300, 2), np.nan), np.ones(300)]
    known, same = (estimate_class_prior(values, s, method="all", **options) for values in (x, wider))
    for one, other in zip(known.estimates, same.estimates, strict=True):
        assert other.value == pytest.approx(one.value, rel=0.2)
    gaps = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    for estimate in estimate_class_prior(gaps, s, method="all", **options).estimates:
        assert estimate.value == pytest.approx(0.4, abs=0.15)
    assert estimate_class_prior(wider, s, method="km2", **options) == known.estimates[2]


def test_interval_of_grouped_rows_matches_fewer_rows():
    scores, s = scores_of(0, 0.3, 4, 100, 500)
    copies = np.tile(scores, 9), np.tile(s, 9)
    groups = np.tile(np.arange(600), 9)
    rows, wholes, once = (
        estimate_class_prior(*data, scheme="separate", groups=names, random_state=0)
        for data, names in ((copies, None), (copies, groups), ((scores, s), None))
    )
    width = [prior.high - prior.low for prior in (rows, wholes, once)]
    # Nine copies carry no more information than one; counted as rows, they make the interval three times narrower.
    assert width[1] == pytest.approx(width[2], rel=0.3)
    assert width[0] < width[1] / 2


def test_unresolvable_priors_are_reported():
    unresolved = estimate_class_prior(*scores_of(0, 1e-3, 2, 200, 100_000), scheme="separate", n_bootstrap=20)
    assert unresolved.note.startswith("not resolvable: an upper limit")
    assert unresolved.value > 1e-2
    assert estimate_class_prior(*scores_of(0, 0.3, 4), scheme="separate", n_bootstrap=50).note == ""
    apart = np.repeat([1.0, 0.0], 50)
    none = estimate_class_prior(apart, apart.astype(int), scheme="separate")
    assert (none.value, none.low) == (0, 0)
    assert none.note == "not resolvable: the interval reaches 0 among the unlabelled rows"
    one = apart.copy()
    one[50:52] = 1.0
    few = estimate_class_prior(one, apart.astype(int), scheme="separate", random_state=0)
    assert few.note.startswith("not resolvable: the interval")
    alike = estimate_class_prior(np.ones(100), apart.astype(int))
    assert "nothing shows that any unlabelled row is negative" in alike.note


@pytest.mark.slow
def test_all_methods_are_run_and_compared():
    rng = np.random.default_rng(0)
    y = rng.random(1500) < 0.3
    x = np.concatenate([rng.normal([4, 0], 1, (300, 2)), rng.normal(size=(1500, 2)) + 4 * np.c_[y, 0 * y]])
    s = np.repeat([1, 0], [300, 1500])
    options = {"scheme": "separate", "n_bootstrap": 10, "random_state": 0}
    both = estimate_class_prior(x, s, method="all", **options)
    assert [e.method for e in both.estimates] == ["best-bin", "elkan-noto", "km2"]
    for e in both.estimates:
        assert e.value == pytest.approx(0.3, abs=0.05)
        assert e == estimate_class_prior(x, s, method=e.method, **options)
    assert both.agree
    assert "agree" in both.note
    table = str(both).splitlines()
    assert table[0].split() == ["method", "prior", "low", "high", "note"]
    assert len(table) == 5
    assert "10 resamples of 300 + 800 rows" in table[3]


def test_methods_that_differ_by_more_than_half_disagree():
    scores, s = scores_of(0, 0.05, 1.5, 300, 2000)
    compared = estimate_class_prior(
        probabilities(scores, s, 0.05, 1.5), s, method="all", scheme="separate", n_bootstrap=2, random_state=0
    )
    values = [e.value for e in compared.estimates]
    assert max(values) > 1.5 * min(values)
    assert not compared.agree
    assert compared.note.startswith("The methods disagree: ")


def test_features_are_scored_out_of_fold_and_by_group():
    # The features are noise, and each row has a copy in its group: a model that saw the copy would recognize positives.
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(400, 5)), 2, axis=0)
    s = np.repeat(rng.random(400) < 0.5, 2).astype(int)
    groups = np.repeat(np.arange(400), 2)
    leaky, honest = (
        estimate_class_prior(x, s, method="elkan-noto", scheme="separate", groups=names, n_bootstrap=2, random_state=0)
        for names in (None, groups)
    )
    assert leaky.value < 0.8 < honest.value


def test_labels_of_minus_one_and_the_same_seed_give_the_same_estimate():
    scores, s = scores_of(0, 0.3, 3, 100, 500)
    first, second = (estimate_class_prior(scores, labels, random_state=3) for labels in (s, 2 * s - 1))
    assert isinstance(first, ClassPrior)
    assert first == second
    assert first != estimate_class_prior(scores, s, random_state=4)


S = np.repeat([1, 0], [6, 14])
X = np.linspace(1, 0, 20)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.where(X > 0.9, np.nan, X)}, r"'X' parameter must be finite for scores.*Got nan"),
        ({"X": X.reshape(2, 5, 2)}, r"'X' parameter must be scores of shape \(n,\) or features.*Got shape \(2, 5, 2\)"),
        ({"X": np.zeros((20, 0))}, r"Got shape \(20, 0\) instead"),
        ({"X": ["a"] * 20}, "'X' parameter must be an array of numbers"),
        ({"X": csr_array(np.eye(20))}, "'X' parameter must be dense"),
        ({"X": 2 * X, "method": "elkan-noto"}, "must be probabilities of s = 1.*Got 2 instead"),
        (
            {"X": X * (S == 0), "method": "elkan-noto"},
            "must contain probabilities of s = 1, above 0 for some labelled positives",
        ),
        ({"X": np.full((20, 2), np.inf), "method": "km2"}, "must contain finite features, or NaN .* Got inf"),
        ({"X": np.full((20, 2), np.nan)}, "must contain a known feature. Got only NaN"),
        ({"s": S[1:]}, r"'s' parameter must contain one label for each of the 20 rows. Got shape \(19,\)"),
        ({"s": 2 * S}, "1 for a labelled positive and 0 .* Got 0, 2 instead"),
        ({"s": S - (X < 0.1)}, "Got -1, 0, 1 instead"),
        ({"s": np.where(S, 1, np.nan)}, "Got 1.0, nan instead"),
        ({"s": ["yes"] * 20}, "'s' parameter must contain 1 for a labelled positive"),
        ({"s": 0 * S}, "Got only unlabelled rows"),
        ({"s": 0 * S + 1}, "Got only positive rows"),
        ({"method": "bbe"}, "'method' parameter must be \"best-bin\", .* or \"all\". Got 'bbe'"),
        ({"scheme": None}, '\'scheme\' parameter must be "single" or "separate". Got None'),
        ({"n_bootstrap": 1}, "'n_bootstrap' parameter must be an integer of at least 2. Got 1"),
        ({"groups": S[1:]}, "'groups' parameter must contain one value for each of the 20 rows"),
        ({"X": X[:, None], "cv": 7}, "not be larger than the number of labelled positives.*Got 7 folds for 6"),
        ({"X": X[:, None], "groups": S}, "groups with labelled positives.*Got 5 folds for 1"),
        ({"X": X[:, None], "cv": 1}, "an integer of at least 2. Got 1"),
        ({"X": X[:, None], "estimator": LinearSVC()}, "must have predict_proba.*Got LinearSVC"),
    ],
)
def test_invalid_input_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        estimate_class_prior(**{"X": X, "s": S, **changed})
