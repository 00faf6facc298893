"""Each hunk against its own reverse: what the change does, apart from what the place is like.

The twin of `src/model/reversal.rs`; golden files test it. `numbers` is all that the trees of hunks see.
"""

import math
from collections import Counter

from diff import reverse
from features import metrics, only, surroundings
from lines import found, scores, summaries

MOST = 3  # a feature of more lines than that counts no more


def change(ours, theirs):
    """bucket -> how much more of it a hunk has than its reverse has; the length of the whole is at most 1."""
    a, b = (Counter(at for _, buckets in rows for at in buckets) for rows in (ours, theirs))
    value = {at: math.sqrt(min(a[at], MOST)) - math.sqrt(min(b[at], MOST)) for at in sorted(a | b)}
    length = max(math.sqrt(sum(v * v for v in value.values())), 1.0)
    return {at: v / length for at, v in value.items() if v}


def direction(changed, weight):
    """The direction branch: positive if the change reads like one for the better."""
    return float(sum(float(weight[at]) * v for at, v in changed.items()))


def numbers(files, problem, line_weight):
    """For each hunk: (metrics, surroundings, line numbers, then metrics and line numbers less those of the reverse; `change`)."""

    def side(files):
        rows = found(files)
        described = [metrics([only(f, h)], problem) for f in files for h in f.hunks]
        return rows, described, summaries(files, scores(rows, line_weight))

    rows, described, summed = side(files)
    rows_back, described_back, summed_back = side(reverse(files))
    less = lambda a, b: [x - y for x, y in zip(a, b)]
    out = []
    for n, around in enumerate(surroundings(files)):
        against = less(described[n], described_back[n]) + less(summed[n], summed_back[n])
        out.append((described[n] + list(around) + summed[n] + against, change(rows[n], rows_back[n])))
    return out
