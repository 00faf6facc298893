import numpy as np
import pytest

import reversal
from diff import parse, reverse

PATCH = "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,4 @@\n a\n-b = 1\n+c = 2\n+d\n e\n"


def test_the_reverse_gets_the_opposite_of_all_that_is_compared():
    weight = np.random.default_rng(0).normal(size=1 << 18)
    (there, changed), (back, undone) = (reversal.numbers(f, None, weight)[0] for f in (parse(PATCH), reverse(parse(PATCH))))
    compared = len(there) - 137
    assert compared == 129 and there[-compared:] == [-v for v in back[-compared:]]
    assert changed == {at: -v for at, v in undone.items()}
    assert sum(v * v for v in changed.values()) == pytest.approx(1)
    assert reversal.direction(changed, weight) == pytest.approx(-reversal.direction(undone, weight))
