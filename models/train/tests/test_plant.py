import numpy as np
import pytest

from datasets import balanced, reverse
from diff import parse
from plant import edits_of_line, plant


@pytest.mark.parametrize(
    "line, rule, expect",
    [
        ("    if a < b:", "boundary", "    if a <= b:"),
        ("    if (a == b) {", "equality", "    if (a != b) {"),
        ("    if (ready) {", "negation", "    if (!ready) {"),
        ("    if ready:", "negation", "    if not ready:"),
        ("    let x = !done;", "negation", "    let x = done;"),
        ("    f(a, b)", "arguments", "    f(b, a)"),
        ("    x = await g()", "dropped_word", "    x = g()"),
        ("    if a and b.c:", "dropped_condition", "    if a:"),
        ("    y = z[3]", "constant", "    y = z[4]"),
    ],
)
def test_rules(line, rule, expect):
    assert (rule, expect) in list(edits_of_line(line, [], [], []))


@pytest.mark.parametrize("line", ['    log("a < b && c")', "    println!(x)  // a == b"])
def test_strings_and_comments_are_left_alone(line):
    assert not {"boundary", "logic", "equality", "negation"} & {rule for rule, _ in edits_of_line(line, [], [], [])}


PATCH = "--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = compute(1, n)\n@@ -9 +9 @@\n-a\n+# words\n"


def test_one_hunk_changes_and_the_input_does_not():
    files = parse(PATCH)
    before = str(files)
    bad, number, _ = plant(files, np.random.default_rng(0))
    assert number == 0 and str(files) == before and bad[0].hunks[0] != files[0].hunks[0]
    assert bad[0].hunks[1] == files[0].hunks[1]


def test_reverse_is_its_own_inverse():
    files = parse(PATCH)
    assert [(k, t) for k, t in reverse(files)[0].hunks[0].lines] == [("-", "x = compute(1, n)"), ("+", "x = 1")]
    assert reverse(reverse(files)) == files


def test_balanced():
    one, two = parse(PATCH)[0].hunks
    assert not balanced(one) and balanced(two)
