from diff import parse
from render import render, rendered, task_segment


def encode(texts):
    """One token a character: easy to count."""
    return [[ord(c) for c in t] for t in texts]


def patch(*sizes, path="f"):
    """A file with one hunk for each size: 1 added line so that marker and line have `size` characters."""
    out = f"--- a/{path}\n+++ b/{path}\n"
    for n, size in enumerate(sizes):
        out += f"@@ -{n},0 +{n},1 @@\n+{'x' * (size - 5)}\n"
    return out


def windows(text, context, problem=None, **more):
    r = render(parse(text), problem, encode, context=context, **more)
    return ["".join(map(chr, w.ids)) for w in r.windows], r


def test_text():
    files = parse("--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n--- a/p\n+++ b/q\n@@ -1 +1 @@\n-b\n+c\n")
    assert rendered(files, " Do \t\n it ") == "Task: Do it\n\nNew file: n\n@@\n+a\nRenamed file: p -> q\n@@\n-b\n+c\n"
    assert task_segment(" \n ") == "" and task_segment(None) == ""
    assert len(task_segment("🦀" * 2000)) == len("Task: \n\n") + 1000


def test_a_file_stays_whole_when_it_can():
    text = patch(20, path="a") + patch(20, path="b")  # header 8, hunk 20
    got, r = windows(text, 50)
    assert [len(w) for w in got] == [28, 28] and not r.truncated
    assert r.hunk_ends == [(0, 27), (1, 27)]
    got, _ = windows(text, 56)
    assert len(got) == 1


def test_hunks_are_placed_one_by_one_when_a_file_does_not_fit():
    got, r = windows(patch(20, 20, 20, path="a"), 50)
    assert [len(w) for w in got] == [48, 28] and not r.truncated
    assert all(w.startswith("File: a\n@@\n") for w in got)


def test_a_long_hunk_is_cut():
    got, r = windows(patch(20, 90, path="a"), 50)
    assert [len(w) for w in got] == [28, 50] and r.truncated
    assert r.hunk_ends == [(0, 27), (1, 49)]


def test_windows_beyond_the_limit_are_not_read():
    got, r = windows(patch(40, 40, 40, path="a"), 50, max_windows=2)
    assert len(got) == 2 and r.truncated and r.hunk_ends[2] is None


def test_task_starts_every_window():
    got, r = windows(patch(30, 30, path="a"), 50, problem="T", task_tokens=9)
    assert len(got) == 2 and all(w.startswith("Task: T\n\nFile: a") for w in got)
    assert r.windows[0].hunks[:9] == [-1] * 9


def test_header_is_cut_to_a_quarter():
    got, _ = windows(patch(20, path="d" * 100), 100)
    assert got[0][:25] == "File: " + "d" * 19 and got[0][25:27] == "@@"
