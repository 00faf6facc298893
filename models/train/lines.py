"""The line branch: which changed line of a hunk looks wrong, from hashed features of the line and what is around it.

A linear model over a set of features a line, divided by the root of their number; a hunk's logit is the logarithm of
the sum of the exponentials of its lines. It is trained on planted defects and on reversed bug fixes. Being a
sum, it can say which line pulled a hunk down. The contract with the Rust side; golden files test it.
"""

import math

import numpy as np

from features import BLANK, bucket, indent, line_terms, tokens

KEYWORDS = frozenset(
    """and as assert async await bool break case catch char class const continue def default defer del do double elif else
    enum except export extends false final finally float fn for from func function go goto if impl import in int
    interface is lambda let long loop match mod module mut namespace new nil none not null or package pass private
    protected pub public raise ref return self short static string struct super switch this throw throws trait true
    try type typeof undefined unsafe unsigned use using val var void when where while with yield None True False String
    Self Some Ok Err Vec u8 u16 u32 u64 i8 i16 i32 i64 usize isize str len""".split()
)  # fmt: skip


def is_name(token):
    return token[0].isascii() and (token[0].isalpha() or token[0] == "_")


def step(before, after):
    """How the indentation changes from a line to the next."""
    d = after - before
    return "=" if d == 0 else ("+" if d > 0 else "-") * (2 if abs(d) > 8 else 1)


class Around:
    """What a line is compared with: the hunk's old and new lines, and the other hunks of the patch."""

    def __init__(self, hunk, hunks_with):
        self.old, self.new, self.hunks_with = set(), set(), hunks_with
        self.lines_with = {}
        for kind, text in hunk.lines:
            terms = set(line_terms(text))
            (self.new if kind == "+" else self.old).update(terms)
            if kind == "+":
                for t in terms:
                    self.lines_with[t] = self.lines_with.get(t, 0) + 1

    def status(self, term):
        """Of a term of an added line: in the hunk's old lines, in another hunk, in another added line, or nowhere."""
        if term in self.old:
            return "o"
        if self.hunks_with[term] > 1:
            return "e"
        return "r" if self.lines_with[term] > 1 else "n"

    def kind_of(self, kind, token):
        """The token, or for a name or number what is known of it."""
        if is_name(token):
            if token in KEYWORDS:
                return token
            letter = self.status(token) if kind == "+" else "k" if token in self.new else "g"
            return letter.upper() if "A" <= token[0] <= "Z" else letter
        if "0" <= token[0] <= "9":
            return token if token in ("0", "1", "2") else "#"
        return token


def line_features(kind, text, around, before, after, replaced):
    """Features of one changed line. `before`, `after`: the neighbours on the same side; `replaced`: the old line in its place."""
    words = tokens(text)
    kinds = [around.kind_of(kind, w) for w in words]
    ends = ["^", *kinds, "$"]
    out = {f"{kind}w {w}" for w in words}
    out.update(f"{kind}b {a} {b}" for a, b in zip(words, words[1:]))
    out.update(f"{kind}c {a} {b} {c}" for a, b, c in zip(ends, ends[1:], ends[2:]))
    out.update(f"{kind}d {a} {b} {c} {d}" for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:]))
    out.update(f"{kind}m {a} {w} {c}" for a, w, c in zip(ends, words, ends[2:]))
    first, last, width = ends[1], ends[-2], indent(text)
    for name, other in (("p", before), ("q", after)):
        if other is None:
            out.add(f"{kind}{name}")
            continue
        theirs = tokens(other)
        if name == "p":
            out.add(f"{kind}p {theirs[-1] if theirs else '^'} {first} {step(indent(other), width)}")
        else:
            out.add(f"{kind}q {last} {theirs[0] if theirs and (theirs[0] in KEYWORDS or not is_name(theirs[0])) else 'i'} {step(width, indent(other))}")
        if words and other.strip(BLANK) == text.strip(BLANK):
            out.add(f"{kind}same {name}")
    out.update(f"{kind}r {b}" for a, b, c in zip(words, kinds[1:], words[2:]) if a == c and is_name(a))
    if kind == "+":
        pairs = list(zip(words, words[1:]))
        status = [around.status(f"{a} {b}") for a, b in pairs]
        out.update(f"+s {a} {b} {s}" for a, b, s in zip(kinds, kinds[1:], status))
        out.add(f"+n {min(status.count('n'), 6)}")
    if replaced is not None:
        theirs = tokens(replaced)
        most, start, end = min(len(theirs), len(words)), 0, 0
        while start < most and theirs[start] == words[start]:
            start += 1
        while end < most - start and theirs[-1 - end] == words[-1 - end]:
            end += 1
        gone, come = theirs[start : len(theirs) - end], words[start : len(words) - end]
        out.add(f"x {min(len(gone), 4)} {min(len(come), 4)}")
        if len(gone) <= 3 and len(come) <= 3:
            left = words[start - 1] if start else "^"
            change = " ".join(gone) + " > " + " ".join(come)
            out.add(f"e {change}")
            out.add(f"l {left} {change}")
            coarse = " ".join(around.kind_of("-", w) for w in gone) + " > " + " ".join(around.kind_of("+", w) for w in come)
            out.add(f"f {coarse}")
            out.add(f"g {left if left in KEYWORDS or not is_name(left) else 'i'} {coarse}")
    return out


def hunk_lines(files):
    """For each hunk: a list of (index of the line or None for the hunk as such, set of features)."""
    hunks_with = {}
    for f in files:
        for h in f.hunks:
            for t in {t for _, text in h.lines for t in line_terms(text)}:
                hunks_with[t] = hunks_with.get(t, 0) + 1
    out = []
    for f in files:
        for h in f.hunks:
            around = Around(h, hunks_with)
            plus, minus = (sum(k == kind for k, _ in h.lines) for kind in "+-")
            rows = [(None, {f"h {min(plus, 8)} {min(minus, 8)}"})]
            replaced = in_place_of(h.lines)
            for n, (kind, text) in enumerate(h.lines):
                if kind == " ":
                    continue
                before = next((t for k, t in reversed(h.lines[:n]) if k in (" ", kind)), None)
                after = next((t for k, t in h.lines[n + 1 :] if k in (" ", kind)), None)
                rows.append((n, line_features(kind, text, around, before, after, replaced.get(n))))
            out.append(rows)
    return out


def in_place_of(lines):
    """number of an added line -> the removed line it replaces: the first of a run for the first, and so on."""
    out, removed, added = {}, [], []
    for n, (kind, text) in enumerate(lines + [(" ", "")]):
        if kind == "-":
            removed.append(text)
        elif kind == "+":
            added.append(n)
        else:
            out.update(zip(added, removed))
            removed, added = [], []
    return out


def buckets(features):
    """Distinct buckets of a set of features."""
    return sorted({bucket(f) for f in features})


def found(files):
    """For each hunk: [(line or None, buckets of its features)]."""
    return [[(line, buckets(features)) for line, features in rows] for rows in hunk_lines(files)]


NONE = -20.0
LINE_NUMBERS = ["lines", "size", "highest", "second", "added", "removed", "changed_lines", "lead"]


def log_sum_exp(values):
    top = max(values, default=NONE)
    return top + math.log(sum(math.exp(v - top) for v in values)) if len(values) else NONE


def scores(hunks, weight):
    """For each hunk of `found`: (score of the hunk as such, [(line, score)])."""
    out = []
    for rows in hunks:
        s = [(line, float(weight[at].sum(dtype=np.float64)) / math.sqrt(len(at))) for line, at in rows]
        out.append((s[0][1], s[1:]))
    return out


def summaries(files, scored):
    """For each hunk, what the trees see of the scores of its lines, in the order of LINE_NUMBERS."""
    hunks = [h for f in files for h in f.hunks]
    totals = [log_sum_exp([size] + [z for _, z in lines]) for size, lines in scored]
    ranked = sorted(totals, reverse=True)
    out = []
    for hunk, total, (size, lines) in zip(hunks, totals, scored):
        z = sorted((z for _, z in lines), reverse=True) + [NONE, NONE]
        of = lambda kind: max(log_sum_exp([z for n, z in lines if hunk.lines[n][0] == kind]), NONE)
        rival = (ranked[1] if total == ranked[0] else ranked[0]) if len(ranked) > 1 else total
        out.append([total, size, z[0], z[1], of("+"), of("-"), math.log(1 + len(lines)), total - rival])
    return out
