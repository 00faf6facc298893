"""Golden file: hand-written diffs, scored by the exported bundle; the Rust side must agree.

All text below is written for this purpose; nothing comes from the training data.
"""

import json

import diff
from common import GOLDEN
from model import Model
from render import rendered


def one(path, before, after, context=("first", "last"), mode=""):
    """A git diff with one hunk: context, removed, added, context."""
    lines = [" " + context[0]] + ["-" + t for t in before] + ["+" + t for t in after] + [" " + context[1]]
    return (
        f"diff --git a/{path} b/{path}\n{mode}--- a/{path}\n+++ b/{path}\n"
        f"@@ -1,{len(before) + 2} +1,{len(after) + 2} @@\n" + "\n".join(lines) + "\n"
    )


def added(path, lines):
    body = "".join(f"+{t}\n" for t in lines)
    return f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"


def deleted(path, lines):
    body = "".join(f"-{t}\n" for t in lines)
    return f"diff --git a/{path} b/{path}\ndeleted file mode 100644\n--- a/{path}\n+++ /dev/null\n@@ -1,{len(lines)} +0,0 @@\n{body}"


RENAMED = """diff --git a/src/old name.py b/src/new name.py
similarity index 90%
rename from src/old name.py
rename to src/new name.py
--- a/src/old name.py
+++ b/src/new name.py
@@ -3,3 +3,3 @@ class Thing:
 def size(self):
-    return len(self.items) - 1
+    return len(self.items)
 
"""

MODE_ONLY = "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
BINARY = "diff --git a/logo.png b/logo.png\nindex 1..2 100644\nBinary files a/logo.png and b/logo.png differ\n"
WIDE = """diff --git a/wide.go b/wide.go
--- a/wide.go
+++ b/wide.go
@@ -10,13 +10,12 @@ func wide() {
 one
 two
 three
 four
 five
-six
+six6
 seven
-eight
 nine
 ten
 eleven

 twelve
@@ -40,2 +39,2 @@
-a
\\ No newline at end of file
+b
 c
\\ No newline at end of file
"""
BARE = "--- lib/plain.c\t2024-01-01 00:00:00\n+++ lib/plain.c\t2024-01-02 00:00:00\n@@ -1 +1 @@\n-int a = 1;\n+int a = 2;\n--- lib/second.c\n+++ lib/second.c\n@@ -5,0 +6 @@\n+int b; /* XXX */\n"
QUOTED = 'diff --git "a/caf\\303\\251 \\"x\\".txt" "b/caf\\303\\251 \\"x\\".txt"\n--- "a/caf\\303\\251 \\"x\\".txt"\n+++ "b/caf\\303\\251 \\"x\\".txt"\n@@ -1,1 +1,1 @@\n-tea\n+té\n'

LANGUAGES = {
    "python": ("app/cart.py", ["    return total / count"], ["    if count == 0:", "        return 0", "    return total / count"]),
    "rust": ("src/queue.rs", ["    self.items.pop()"], ["    match self.items.pop() {", "        Some(item) => Ok(item),", "        None => Err(Empty),", "    }"]),
    "go": ("pool/pool.go", ["\tp.mu.Lock()"], ["\tp.mu.Lock()", "\tdefer p.mu.Unlock()"]),
    "java": ("core/src/main/java/Box.java", ["        return value;"], ["        return Objects.requireNonNull(value);"]),
    "javascript": ("web/list.js", ["  for (let i = 0; i <= items.length; i++) {"], ["  for (let i = 0; i < items.length; i++) {"]),
    "typescript": ("web/api.ts", ["  const r = fetch(url);"], ["  const r: Response = await fetch(url);"]),
    "c": ("lib/buf.c", ["\tmemcpy(dst, src, n);"], ["\tif (n > cap)", "\t\treturn -1;", "\tmemcpy(dst, src, n);"]),
    "cpp": ("src/tree.cpp", ["    delete node;"], ["    node.reset();"]),
    "csharp": ("Src/Clock.cs", ["    public int Hour => _hour;"], ["    public int Hour => _hour % 24;"]),
    "ruby": ("lib/mail.rb", ["    send(to)"], ["    send(to) unless to.nil?"]),
    "php": ("src/User.php", ["        return $this->name;"], ["        return htmlspecialchars($this->name);"]),
    "kotlin": ("app/Main.kt", ["    val n = list[0]"], ["    val n = list.firstOrNull() ?: return"]),
    "swift": ("Sources/View.swift", ["        let w = size!.width"], ["        guard let size = size else { return }", "        let w = size.width"]),
}  # fmt: skip


def numbered(n, text):
    return [text.format(i=i) for i in range(n)]


def many_hunks(path, n, per_hunk):
    out = [f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"]
    for h in range(n):
        start = 1 + 100 * h
        body = "".join(f"-    old_{h}_{i} = compute({i})\n+    new_{h}_{i} = compute({i}, cache=True)\n" for i in range(per_hunk))
        out.append(f"@@ -{start},{per_hunk + 1} +{start},{per_hunk + 1} @@ def f{h}():\n def f{h}():\n{body}")
    return "".join(out)


def cases():
    problem = "Cart total crashes\n\nWhen the cart is empty `total / count` raises ZeroDivisionError.\tExpected: 0."
    yield "one-line", one("app/cart.py", ["    x = 1"], ["    x = 2"]), None
    yield "one-line-problem", one("app/cart.py", ["    x = 1"], ["    x = 2"]), problem
    for language, (path, before, after) in LANGUAGES.items():
        yield f"language-{language}", one(path, before, after), problem if language in ("python", "rust") else None
    several = one("a.py", ["a"], ["b"]) + added("tests/test_a.py", ["import a", "", "def test_a():", "    assert a.f(1) == 2"])
    yield "several-files", several + deleted("docs/old.md", ["# Old", "", "gone"]) + RENAMED + MODE_ONLY + BINARY, problem
    yield "new-file", added("src/util/new_thing.ts", ["export function twice(x: number) {", "  return x * 2; // TODO", "}"]), None
    yield "deleted-file", deleted("src/dead.rs", ["fn dead() {}", "fn deader() { dbg!(1); }"]), "Remove dead code"
    yield "renamed-file", RENAMED, None
    yield "crlf", one("win/a.cs", ["int a;"], ["int a = 0;", "", "int b;"]).replace("\n", "\r\n"), "line one\r\nline two\r\n"
    yield "non-bmp", one("emoji.py", ["s = '😀'"], ["s = '🦀🦀'  # 日本語", "t = 'é' + 'e\u0301' + '½Ⅷ٣'"]), "Ünïcode 🦀 breaks"
    yield "control-words", one("prompt.py", ["x"], ["x = '<|im_start|>system<|endoftext|><filename>'"]), "<|im_end|> Task:"
    yield "long-hunk", added("big.py", numbered(120, "value_{i} = transform(value, {i})")), problem
    yield "long-line", one("min.js", ["a"], ["x" * 399 + "yz" + "é" * 50, "ok"]), None
    yield "many-windows", many_hunks("pkg/many.py", 5, 6), problem
    yield "beyond-max-windows", many_hunks("pkg/more.py", 14, 8) + one("z.py", ["a"], ["b"]), None
    mixed = one("s.py", ["a"], ["b"]) + many_hunks("m.py", 3, 6) + added("n.py", numbered(25, "n{i} = {i}")) + one("t.py", ["c"], ["d"])
    yield "files-do-not-split", mixed, problem
    yield "hunk-cut-in-second-window", one("s.py", ["a"], ["b"]) + added("big.rs", numbered(90, "let v{i} = parse(input[{i}])?;")), None
    yield "long-problem", one("app/cart.py", ["    x = 1"], ["    x = 2"]), "The  cart\n\n" * 40 + "word " * 400
    yield "blank-problem", one("app/cart.py", ["    x = 1"], ["    x = 2"]), " \n\t "
    yield "pure-deletion", one("src/a.c", ["    free(p);", "    free(p);", "    if (p) return;"], []), None
    yield "empty-lines", one("a.txt", ["", "a"], ["", "  ", "", "b", ""]), None
    yield "wide-context", WIDE, None
    yield "no-git-header", BARE, None
    yield "quoted-path", QUOTED, None
    yield "markers", one("dbg.py", ["# old"], ["# new", "print('x')  # FIXME", "try:", "    pass", "except E:", "    return", "* item"]), None
    yield "long-path", one("d/" * 200 + "f.py", ["a"], ["b"]), None
    yield "no-body", MODE_ONLY + BINARY, None


def main():
    model = Model()
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    with open(GOLDEN, "w", encoding="utf-8", newline="\n") as out:
        for id, patch, problem in cases():
            record = {"id": id, "patch": patch, "problem": problem}
            files = diff.parse(patch)
            if files:
                s = model.score(patch, problem)
                r = s["rendered"]
                record |= {
                    "rendered": rendered(files, problem),
                    "windows": [w.ids for w in r.windows],
                    "hunk_ends": r.hunk_ends,
                    "metrics": s["metrics"],
                    "branches": s["branches"],
                    "patch_logit": s["logit"],
                    "hunks": s["hunks"],
                    "truncated": r.truncated,
                    "tokens": r.tokens,
                }
            else:
                record["empty"] = True
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
            if files:
                print(f"{id:28} windows {len(r.windows)} tokens {r.tokens:5} truncated {r.truncated!s:5} "
                      f"hunks {len(r.hunk_ends)} logit {s['logit']:+.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
