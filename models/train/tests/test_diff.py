import pytest

from diff import parse, unquote


def shape(text):
    return [(f.status, f.old, f.new, len(f.hunks)) for f in parse(text)]


HUNK = "@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    "text, expect",
    [
        ("", []),
        ("no diff at all\n", []),
        ("diff --git a/x b/x\n--- a/x\n+++ b/x\n" + HUNK, [("modified", "x", "x", 1)]),
        ("--- a/x\n+++ b/x\n" + HUNK, [("modified", "x", "x", 1)]),
        ("--- x\t2024\n+++ x\t2025\n" + HUNK + "--- y\n+++ z\n" + HUNK, [("modified", "x", "x", 1), ("renamed", "y", "z", 1)]),
        ("diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", [("added", "x", "x", 1)]),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", [("added", "x", "x", 1)]),
        ("diff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", [("deleted", "x", "x", 1)]),
        ("diff --git a/p q b/r s\nrename from p q\nrename to r s\n--- a/p q\n+++ b/r s\n" + HUNK, [("renamed", "p q", "r s", 1)]),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", []),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", []),
        ('diff --git "a/\\303\\251" "b/\\303\\251"\n--- "a/\\303\\251"\n+++ "b/\\303\\251"\n' + HUNK, [("modified", "é", "é", 1)]),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n same\n", []),
    ],
)
def test_files(text, expect):
    assert shape(text) == expect


def lines(text):
    return [f"{k}{t}" for f in parse(text) for h in f.hunks for k, t in h.lines]


HEAD = "--- a/x\n+++ b/x\n"


@pytest.mark.parametrize(
    "text, expect",
    [
        (HEAD + "@@ -1,2 +1,2 @@\r\n-a\r\n+b\r\n c\r\n", ["-a", "+b", " c"]),
        (HEAD + "@@ -1,2 +1,2 @@\n-a\n\\ No newline at end of file\n+b\n\n", ["-a", "+b", " "]),
        (HEAD + "@@ -1,2 +1,1 @@\n--- old\n c\n", ["--- old", " c"]),  # a removed line that looks like a header
        (HEAD + "@@ -1,9 +1,9 @@\n 1\n 2\n 3\n 4\n-5\n+6\n 7\n 8\n 9\n 10\n", [" 2", " 3", " 4", "-5", "+6", " 7", " 8", " 9"]),
        (HEAD + "@@ -1,9 +1,9 @@\n-a\n+b\ndiff --git a/y b/y\n", ["-a", "+b"]),  # counts promise more
    ],
)
def test_lines(text, expect):
    assert lines(text) == expect


def test_trimming_moves_the_ranges():
    [file] = parse(HEAD + "@@ -10,6 +20,6 @@\n 1\n 2\n 3\n 4\n-5\n+6\n 7\n")
    h = file.hunks[0]
    assert (h.old_start, h.old_lines, h.new_start, h.new_lines) == (11, 5, 21, 5)


def test_unquote():
    assert unquote('"a\\tb\\"c\\\\\\303\\251"') == 'a\tb"c\\é'
    assert unquote("plain") == "plain"
