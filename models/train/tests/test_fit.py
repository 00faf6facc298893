import numpy as np
import pytest

from evaluate import auc, calibration, ece, per_task, groups
from fit import folds, logistic, pairs, platt


def test_auc_counts_ties_half():
    assert auc([1, 0], [2.0, 1.0]) == 1.0
    assert auc([1, 0], [1.0, 1.0]) == 0.5
    assert np.isnan(auc([1, 1], [1.0, 2.0]))


def test_tasks_with_one_label_do_not_count():
    y, s = np.array([1, 0, 1, 1.0]), np.array([0.9, 0.1, 0.2, 0.3])
    rows = per_task(y, s, groups(["a", "a", "b", "b"]))
    assert rows.tolist() == [[1.0, 1.0, 0.5]]


def test_ece():
    assert ece(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0
    assert ece(np.array([1.0, 1.0]), np.array([0.75, 0.75])) == pytest.approx(0.25)
    assert calibration([1, 0, 1, 0], [0.5] * 4)["brier_skill"] == 0


def test_folds_keep_a_repository_together():
    repo = np.array(list("aaabbcdefff"))
    fold = folds(repo)
    assert all(len(set(fold[repo == r])) == 1 for r in set(repo))


def test_pairs_weigh_a_task_by_the_root_of_its_rarer_label():
    y, task = np.array([1, 0, 0, 1, 1, 0, 0, 1]), np.array(list("aaabbbbc"))
    better, worse, weight = pairs(y, task, np.random.default_rng(0))
    assert set(zip(better.tolist(), worse.tolist())) == {(0, 1), (0, 2), (3, 5), (3, 6), (4, 5), (4, 6)}
    assert weight[:2].sum() == pytest.approx(1 / (1 + 2**0.5)) and weight.sum() == pytest.approx(1)


def test_logistic_finds_the_minimum():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 3)), (rng.random(200) < 0.4).astype(float)
    none = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    w, b = logistic(x, y, np.ones(200), none, 0.0, 0.1)
    p = 1 / (1 + np.exp(-(x @ w + b)))
    assert x.T @ (p - y) / 200 + 0.1 * w == pytest.approx(np.zeros(3), abs=1e-4)
    assert (p - y).mean() == pytest.approx(0, abs=1e-4)


def test_pairs_alone_give_the_same_direction():
    x, y = np.array([[1.0], [0.0]]), np.array([1.0, 0.0])
    w, _ = logistic(x, y, np.ones(2), (np.array([0]), np.array([1]), np.array([1.0])), 1.0, 0.1)
    assert w[0] > 0.5


def test_platt_recovers_the_map():
    rng = np.random.default_rng(1)
    s = rng.normal(size=20000)
    y = (rng.random(20000) < 1 / (1 + np.exp(-(2 * s - 1)))).astype(float)
    assert platt(s, y) == pytest.approx((2, -1), abs=0.1)
