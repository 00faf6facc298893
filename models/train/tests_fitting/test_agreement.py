import numpy as np

import diff
from agreement import columns, overlaps, parts


def edit(old, new, path="f"):
    return f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


def new(path, line):
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n"


def agreement(*patches):
    shared = overlaps([parts(diff.parse(patch)) for patch in patches])
    return columns(np.zeros(len(patches)), shared)["agreement"]


def test_agreement_is_that_of_the_program():
    # The cases of src/ranking/agreement.rs.
    near = (0.5 + 2 / 3) / 3 / 2
    np.testing.assert_allclose(agreement(edit("a", "b c"), edit("a", "b d"), edit("b", "a")), [near, near, 0])
    one = edit("a", "b c")
    np.testing.assert_allclose(agreement(one, edit("  a", "\tb  c")), 1)
    np.testing.assert_allclose(agreement(one, edit("a", "b c", "g")), 1 / 3)
    np.testing.assert_allclose(agreement(new("f", "a"), new("f", "a")), 1)
    np.testing.assert_allclose(agreement(new("f", "a"), new("g", "a")), 1 / 3)
    with_script = lambda path, line: edit("a", "b") + new(path, line)
    np.testing.assert_allclose(agreement(with_script("repro", "c d"), with_script("try", "e g")), (2 / 6 + 2) / 3)
