import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import ablate
from diff import parse, reverse
from features import METRICS
from fit import Data, logistic, pairs


def test_tasks_are_drawn_whole():
    task = np.array(list("aaabbbccc"))
    ix = ablate.whole_tasks(task, 6, 0)
    assert len(ix) == 6 and sorted(np.unique(task[ix], return_counts=True)[1]) == [3, 3]


def test_of_ratio():
    y = np.array([1.0] * 20 + [0.0] * 40)
    ix = ablate.of_ratio(y, 2, 1, 30, 0)
    assert len(set(ix)) == 30 and y[ix].sum() == 20


@pytest.mark.parametrize("name", ablate.LOSSES)
def test_losses_fall_as_the_scores_get_right(name):
    y = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    weight = torch.full((4,), 0.25, dtype=torch.float64)
    fixed = y, weight, (torch.tensor([0, 2]), torch.tensor([1, 3]), 2 * weight[:2])
    loss = lambda z: ablate.LOSSES[name](z, *fixed)
    z = torch.tensor([0.3, -0.2, 1.0, 0.4], dtype=torch.float64, requires_grad=True)
    assert gradcheck(loss, z)
    assert loss(6 * y - 3) < loss(z) < loss(3 - 6 * y)


def test_a_focal_loss_without_an_exponent_is_cross_entropy(monkeypatch):
    monkeypatch.setattr(ablate, "FOCUS", 0.0)
    z, y, weight = torch.tensor([0.3, -1.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert ablate.focal(z, y, weight, None).item() == pytest.approx(ablate.cross_entropy(z, y, weight, None).item())


def test_soft_bins_want_what_is_said_to_be_so():
    y, weight = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.full((4,), 0.25)
    said = lambda p: ablate.soft_bins(torch.logit(torch.full((4,), p)), y, weight, None).item()
    assert said(0.25) == pytest.approx(0, abs=1e-6) and said(0.6) > 0.1


def test_descend_finds_what_logistic_finds():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), (rng.random(80) < 0.5).astype(float)
    pair = pairs(y, np.repeat(np.arange(20), 4), rng)
    w, b = ablate.descend(ablate.both, x, y, np.ones(80), pair, 0.01)
    expected, bias = logistic(x, y, np.ones(80), pair, 0.5, 0.01)
    assert w == pytest.approx(expected, abs=1e-3) and b == pytest.approx(bias, abs=1e-3)


def test_a_hunk_and_its_reverse_differ_in_the_opposite():
    files = parse("--- a/x.py\n+++ b/x.py\n@@ -7,3 +9,4 @@\n a\n-b = 1\n+c = 2\n+d\n e\n")
    there, back = ablate.hunk_numbers(files), ablate.hunk_numbers(reverse(files))
    assert (there[:, -len(METRICS) :] == -back[:, -len(METRICS) :]).all() and there[:, -len(METRICS) :].any()
    assert there[0, METRICS.index("last_start")] == 0


def test_the_same_scores_have_no_gap():
    y, task, none = np.array([1.0, 0.0] * 4), np.repeat(list("abcd"), 2), np.zeros((8, 0))
    dev = Data([{}] * 8, none, np.ones(8, bool), None, none, y, task, task)
    right, wrong = 2 * y, -y
    assert ablate.against(dev, [right], [right]) == ["0.000 [0.000, 0.000]"] * 2
    assert ablate.against(dev, [right, right], [right, wrong]) == ["0.500 [0.500, 0.500]"] * 2
