import numpy as np
import pytest
import scipy.sparse as sp

import datasets
import fit_direction
import fit_lines
from common import some
from diff import parse, reverse
from features import BUCKETS
from pipeline import MARKED, STAGES

PATCH = "--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = f(1)\n+x = f(2)\n@@ -9 +9 @@\n-y = f(1)\n+y = g(1)\n"


def test_stages_have_scripts_and_outputs_of_their_own():
    assert all((fit_lines.path.__globals__["HERE"] / command.split()[0]).exists() for command, _ in STAGES.values())
    assert len({output for _, output in STAGES.values()}) == len(STAGES) and set(MARKED) <= set(STAGES)


def test_a_share_keeps_together_what_belongs_together(monkeypatch):
    assert list(some(range(6))) == list(range(6))
    monkeypatch.setenv("DIFFIDENCE_SHARE", "0.5")
    assert list(some(range(6))) == [0, 2, 4]
    assert list(some(range(8), 2)) == [0, 1, 4, 5]


def test_both_ways():
    file = parse(PATCH)[0]
    there, back = datasets.both_ways({"id": "a", "repo": "r", "problem": "words"}, file, file.hunks[0], source="fix")
    assert there["hunk_labels"] == [1] and back["hunk_labels"] == [0] and back["files"] == reverse(there["files"])
    assert there["problem"] is None and there["source"] == "fix" and len(there["files"][0].hunks) == 1


def test_hunks_are_paired_within_their_patch():
    worse, better, weight = fit_lines.pairs_within(np.array([1, 0, 0, 1, 0, 0]), np.array([5, 5, 5, 7, 7, 8]))
    assert list(zip(worse, better)) == [(0, 1), (0, 2), (3, 4)]
    assert weight == pytest.approx([2**-0.5, 2**-0.5, 1])


def test_log_sum_exp_of_the_lines_of_each_hunk():
    total, share = fit_lines.log_sum_exp(np.log([1.0, 3.0, 2.0]), np.array([0, 0, 1]), 2)
    assert np.exp(total) == pytest.approx([4, 2]) and share == pytest.approx([0.25, 0.75, 1])


def test_lines_with_the_mark_of_damage_score_high(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFIDENCE_WORK", str(tmp_path))
    bad, good = "--- a/m\n+++ b/m\n@@ -1 +1 @@\n-x\n+bad\n@@ -9 +9 @@\n-x\n+good\n", [0, 1]
    monkeypatch.setitem(fit_lines.SOURCES, "damaged", (lambda: [dict(files=parse(bad), hunk_labels=good, repo="r")] * 4, 1, 1.0))
    part = fit_lines.Part("damaged")
    weight = fit_lines.fit([(part, 1.0)], [np.ones(len(part.bad))])
    score = fit_lines.log_sum_exp(part.x @ weight, part.hunk, len(part.bad))[0]
    assert (score[0::2] > score[1::2]).all()


def test_the_direction_of_a_change_and_of_its_reverse_are_opposite():
    x = sp.csr_matrix(([1.0, 1.0, -0.5, 1.0, 1.0], ([0, 1, 1, 2, 3], [7, 7, 8, 7, 7])), shape=(4, BUCKETS))
    w = fit_direction.fit(x, np.ones(4))
    assert w[7] > 0 and w[8] == 0  # seen too rarely
    assert -x @ w == pytest.approx(-(x @ w))
