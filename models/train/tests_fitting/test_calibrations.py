import numpy as np
import pytest

from calibrations import FEWEST, MAPS, Logits, cross_fitted, deals, fit_beta, fit_isotonic, fit_platt, losses, of_languages
from evaluate import sigmoid
from fit import folds, platt


def made(n=1200):
    """Two languages whose maps differ, and a rare one; five repositories."""
    rng = np.random.default_rng(0)
    s = rng.normal(size=n)
    language = np.where(np.arange(n) < 50, "c", np.where(np.arange(n) % 2, "python", "rust"))
    y = (rng.random(n) < sigmoid(s + np.where(language == "rust", 1, -1))).astype(float)
    return Logits(s, y, np.array([f"r{i % 5}" for i in range(n)]), language, np.ones(n))


def test_beta_contains_platt():
    data = made()
    a, b = platt(data.s, data.y)
    new = Logits(np.linspace(-2, 2, 9), *(np.zeros(9),) * 4)
    gap = losses(data.y, fit_beta(data)(data))[0].mean() - losses(data.y, sigmoid(a * data.s + b))[0].mean()
    assert -0.01 < gap < 1e-3
    assert fit_beta(data)(new) == pytest.approx(fit_platt(data)(new), abs=0.05)


def test_isotonic_never_falls_and_is_never_sure():
    data = made()
    p = fit_isotonic(data)(Logits(np.linspace(-9, 9, 50), *(np.zeros(50),) * 4))
    assert (np.diff(p) >= 0).all() and 0 < p.min() and p.max() < 1


def test_a_language_is_drawn_to_the_pooled_map_and_a_rare_one_has_none():
    data = made()
    own, drawn, pooled = (of_languages(data, pull)["rust"] for pull in (0, FEWEST, 1e9))
    assert set(of_languages(data, 0)) == {None, "python", "rust"}
    assert pooled == pytest.approx(of_languages(data, 0)[None], abs=1e-3)
    assert min(own[1], pooled[1]) < drawn[1] < max(own[1], pooled[1])


@pytest.mark.parametrize("name", MAPS)
def test_maps_yield_probabilities_of_all_records(name):
    data = made()
    p = cross_fitted(MAPS[name], data, folds(data.repo))
    assert p.shape == data.y.shape and (0 < p).all() and (p < 1).all()


def test_deals_keep_a_repository_together():
    repo = np.array(list("aabbbcdeffg"))
    for fold in deals(repo):
        assert all(len(set(fold[repo == r])) == 1 for r in set(repo)) and len(set(fold)) >= 5
