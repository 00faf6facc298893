import math

import pytest

import features
from diff import parse
from features import METRICS, bucket, counts, fnv, metrics, stem, text_logit, tokens


def test_fnv_is_the_published_function():
    assert fnv("") == 0xCBF29CE484222325
    assert fnv("a") == 0xAF63DC4C8601EC8C
    assert fnv("foobar") == 0x85944171F73967E8
    assert bucket("foobar") == (0x85944171 ^ 0xF73967E8) % (1 << 18)


@pytest.mark.parametrize(
    "text, expect",
    [
        ("a_1 = b2+3.14", ["a_1", "=", "b2", "+", "3", ".", "14"]),
        ("é🦀x", ["é", "🦀", "x"]),
        (" \t\f", []),
    ],
)
def test_tokens(text, expect):
    assert tokens(text) == expect


def test_terms_stay_within_a_line():
    c = counts(parse("--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-a\n+b c\n+b\n"))
    expect = ["-:a", "+:b", "+:b", "+:c", "+:b c"]
    assert sum(c.values()) == 5 and c[bucket("+:b")] == 2 and set(c) == {bucket(t) for t in expect}


def test_text_logit_is_normalised():
    one = {0: 1, 1: 1}
    idf, weight = {0: 3.0, 1: 4.0}, {0: 1.0, 1: 0.5}
    assert text_logit(one, idf, weight, 0.25) == pytest.approx((3 * 1 + 4 * 0.5) / 5 + 0.25)
    assert text_logit({}, idf, weight, 0.25) == 0.25


def test_metrics():
    text = (
        "--- a/src/cart.py\n+++ b/src/cart.py\n@@ -1,2 +1,4 @@\n def total(count):\n-    return count\n"
        "+    # TODO\n+\n+    if count: return price\n"
    )
    m = dict(zip(METRICS, metrics(parse(text), features.Problem("the cart has no price"))))
    assert len(m) == 121
    assert m["added_lines"] == pytest.approx(math.log(4)) and m["removed_lines"] == pytest.approx(math.log(2))
    assert m["added_share"] == 0.75 and m["blank_share"] == pytest.approx(1 / 3) and m["comment_share"] == pytest.approx(1 / 3)
    assert m["known_identifiers"] == pytest.approx(2 / 5)  # TODO if count return price: count, return
    assert m["added_in_problem"] == pytest.approx(1 / 4) and m["stem_in_problem"] == 1.0
    assert m["control_delta"] == pytest.approx(math.log(2)) and m["line_delta"] == pytest.approx(math.log(3))
    assert m["todo_markers"] == pytest.approx(math.log(2)) and m["has_problem"] == 1.0


def test_metrics_of_a_deletion_are_finite():
    values = metrics(parse("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"), features.Problem(None))
    assert all(math.isfinite(v) for v in values) and values[29] == pytest.approx(-math.log(2))


@pytest.mark.parametrize("path, expect", [("a/b.c.py", "b.c"), (".bashrc", ".bashrc"), ("Makefile", "Makefile")])
def test_stem(path, expect):
    assert stem(path) == expect


def test_only_keeps_one_hunk():
    [file] = parse("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n+d\n")
    assert len(features.only(file, file.hunks[1]).hunks) == 1 and len(file.hunks) == 2
