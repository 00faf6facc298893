//! Files that hold the settings of many tools, those of the runner of tests among them.
//!
//! Most edits of them are no concern of tests: a dependency, a version, a linter. So a line counts
//! if it is about tests by what it says or by the section or key it stands in, as far as the hunk
//! shows them. Where the hunk shows neither, a line counts only if it can hardly mean anything else.
//!
//! Invariant: lines that are there before and after, but for white space and a comma at the end, are
//! no change. A file that is moved away is one: nobody reads it there.

use super::json::Json;
use super::sections::Sections;
use crate::change::{FileChange, Hunk, LineKind};

/// How a file is laid out.
#[derive(Clone, Copy)]
enum Layout {
    Toml,
    Ini,
    Json,
}

/// What is known of one side of a hunk while its lines are read.
enum Reader {
    Sections(Sections),
    Json(Json),
}

/// Whether the settings of tests change.
pub(super) fn are_changed_by(file: &FileChange) -> bool {
    let (old, new) = (file.old_path.as_deref(), file.new_path.as_deref());
    let Some(layout) = old.and_then(Layout::of).or(new.and_then(Layout::of)) else {
        return false;
    };
    let moved = old.is_some() && new.is_some() && old != new;
    moved || file.hunks.iter().any(|hunk| layout.changes_tests(hunk))
}

impl Layout {
    fn of(path: &str) -> Option<Self> {
        match path.rsplit('/').next()? {
            "pyproject.toml" => Some(Self::Toml),
            "setup.cfg" => Some(Self::Ini),
            "package.json" => Some(Self::Json),
            _ => None,
        }
    }

    fn reader(self) -> Reader {
        match self {
            Self::Toml => Reader::Sections(Sections::of_toml()),
            Self::Ini => Reader::Sections(Sections::of_ini()),
            Self::Json => Reader::Json(Json::default()),
        }
    }

    fn changes_tests(self, hunk: &Hunk) -> bool {
        self.about_tests(hunk, LineKind::Removed) != self.about_tests(hunk, LineKind::Added)
    }

    /// What one side says about tests. `side` are the lines that only it has.
    fn about_tests(self, hunk: &Hunk, side: LineKind) -> Vec<&str> {
        let mut reader = self.reader();
        let lines = hunk.lines.iter();
        lines
            .filter(|line| line.kind == LineKind::Context || line.kind == side)
            .filter(|line| reader.is_about_tests(&line.text))
            .map(|line| line.text.trim().trim_end_matches(','))
            .collect()
    }
}

impl Reader {
    fn is_about_tests(&mut self, line: &str) -> bool {
        match self {
            Self::Sections(sections) => sections.is_about_tests(line),
            Self::Json(json) => json.is_about_tests(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Patch;

    #[track_caller]
    fn check(path: &str, lines: &str, expect: bool) {
        let diff = format!("--- a/{path}\n+++ b/{path}\n@@ -5,99 +5,99 @@\n{lines}");
        let patch = Patch::from_typed_unified(diff.as_bytes()).unwrap();
        assert_eq!(are_changed_by(&patch.files[0]), expect, "{path}:\n{lines}");
    }

    #[test]
    fn pyproject() {
        for (lines, expect) in [
            ("+[tool.pytest.ini_options]\n", true),
            (" [tool.pytest.ini_options]\n-a = 1\n+a = 2\n", true),
            (" [tool.pytest.ini_options]\n-# why\n+# why not\n", false),
            (
                " [tool.pytest.ini_options]\n x = 1\n \n+[tool.ruff]\n+x = 2\n",
                false,
            ),
            (
                " [tool.pytest.ini_options]\n+[tool.other]\n addopts = 1\n",
                true,
            ),
            ("-addopts = '-q'\n+addopts = '--ignore=tests'\n", true),
            (" addopts = [\n+  \"-k not_slow\",\n ]\n", true),
            ("+  \"--deselect=tests/test_a.py::test_b\",\n", true),
            ("+testpaths = ['empty']\n", true),
            (" [tool]\n+pytest.ini_options.addopts = '-x'\n", true),
            (" [tool.tox.env.py]\n+commands = []\n", true),
            (" [tool.hatch.envs.test.scripts]\n+all = 'true'\n", true),
            (
                " [tool.pdm.scripts]\n-test = 'pytest'\n+test = 'true'\n",
                true,
            ),
            (
                " [tool.poe.tasks]\n-check = 'pytest'\n+check = 'true'\n",
                true,
            ),
            ("-test = 'pytest'\n+test = 'true'\n", true),
            (" [tool.cibuildwheel]\n+test-command = 'true'\n", true),
            // Dependencies, other tools.
            (" [project]\n dependencies = [\n+  'requests',\n ]\n", false),
            (" [project]\n+dependencies = ['pytest']\n", false),
            ("+  'pytest>=8',\n", false),
            ("-pytest = '^7.0'\n+pytest = '^8.0'\n", false),
            (
                " [project.optional-dependencies]\n+test = ['pytest']\n",
                false,
            ),
            ("+test = ['pytest', 'tox']\n", false),
            (
                " [tool.poetry.group.test.dependencies]\n+tox = '^4'\n",
                false,
            ),
            (
                " [tool.hatch.envs.test]\n dependencies = [\n+  'attrs',\n ]\n",
                false,
            ),
            (
                " [tool.ruff.lint.per-file-ignores]\n+\"tests/*\" = ['S101']\n",
                false,
            ),
            (" [tool.mypy]\n+exclude = 'tests'\n", false),
            (" [project]\n-version = '1'\n+version = '2'\n", false),
            (" [tool.foo]\n+testpaths = 1\n", false),
            ("+latest = 'yes'\n", false),
        ] {
            check("pyproject.toml", lines, expect);
        }
    }

    #[test]
    fn setup_cfg() {
        for (lines, expect) in [
            (" [tool:pytest]\n addopts =\n+    --ignore=tests\n", true),
            (" [tool:pytest]\n+python_files: none_*.py\n", true),
            ("+[pytest]\n", true),
            (" [aliases]\n+test = pytest\n", true),
            (" [options]\n+test_suite = none\n", true),
            ("+norecursedirs = tests\n", true),
            (" [metadata]\n-version = 1\n+version = 2\n", false),
            (" [options]\n install_requires =\n+    requests\n", false),
            (" [options]\n tests_require =\n+    mock\n", false),
            (" [options.extras_require]\n test =\n+    pytest\n", false),
            (" [flake8]\n+max-line-length = 100\n", false),
            (" [mypy-tests.*]\n+ignore_errors = True\n", false),
        ] {
            check("setup.cfg", lines, expect);
        }
    }

    #[test]
    fn package_json() {
        for (lines, expect) in [
            ("-    \"test\": \"jest\"\n+    \"test\": \"true\"\n", true),
            ("   \"scripts\": {\n+    \"pretest\": \"rm -r a\",\n", true),
            ("   \"scripts\": {\n+    \"test:unit\": \"true\",\n", true),
            (
                "   \"scripts\": {\n-    \"ci\": \"lint && jest\",\n+    \"ci\": \"lint\",\n",
                true,
            ),
            ("+  \"jest\": {\n+    \"roots\": []\n+  },\n", true),
            ("   \"jest\": {\n+    \"roots\": [],\n", true),
            (
                "   \"jest\": {\n     \"roots\": [\n+      \"none\",\n",
                true,
            ),
            ("+    \"testMatch\": [\"none\"],\n", true),
            ("+    \"setupFiles\": [\"a.js\"],\n", true),
            (
                "-{\"name\":\"a\",\"jest\":{}}\n+{\"name\":\"a\",\"jest\":{\"bail\":1}}\n",
                true,
            ),
            // Dependencies, other scripts.
            (
                "   \"devDependencies\": {\n+    \"jest\": \"^29.0.0\",\n",
                false,
            ),
            (
                "   \"devDependencies\": {\n+    \"jest\": \"next\",\n",
                false,
            ),
            (
                "-    \"jest\": \"^28.0.0\",\n+    \"jest\": \"^29.0.0\",\n",
                false,
            ),
            ("+    \"test-exclude\": \"6.0.0\",\n", false),
            ("+    \"@testing-library/react\": \"^14\",\n", false),
            (
                "   \"dependencies\": {\n+    \"left-pad\": \"1\"\n   }\n",
                false,
            ),
            (
                "   \"scripts\": {\n+    \"build\": \"tsc\",\n     \"test\": \"jest\"\n",
                false,
            ),
            (
                "   \"scripts\": {\n-    \"test\": \"jest\"\n+    \"test\": \"jest\",\n+    \"build\": \"tsc\"\n",
                false,
            ),
            (
                "   \"jest\": {\n     \"a\": 1\n-  }\n+  },\n+  \"files\": [\"test\"]\n",
                false,
            ),
            ("   \"env\": {\n+    \"jest\": true\n", false),
            ("+    \"mocha\": true\n", false),
            (
                "-  \"description\": \"A\",\n+  \"description\": \"Like jest\",\n",
                false,
            ),
            (
                "-  \"version\": \"1.0.0\",\n+  \"version\": \"1.0.1\",\n",
                false,
            ),
        ] {
            check("web/package.json", lines, expect);
        }
    }

    #[test]
    fn whole_files() {
        let check = |diff: &str, expect| {
            let patch = Patch::from_unified(diff.as_bytes()).unwrap();
            assert_eq!(are_changed_by(&patch.files[0]), expect, "{diff}");
        };
        let moved =
            |old, new| format!("diff --git a/{old} b/{new}\nrename from {old}\nrename to {new}\n");
        let mode = "diff --git a/setup.cfg b/setup.cfg\nold mode 100644\nnew mode 100755\n";
        check(&moved("pyproject.toml", "old.toml"), true);
        check(&moved("a.toml", "pyproject.toml"), true);
        check(&moved("a.toml", "b.toml"), false);
        check(mode, false);
        check(
            "--- a/setup.py\n+++ b/setup.py\n@@ -1 +1 @@\n-[pytest]\n+[tool]\n",
            false,
        );
        check(
            "--- /dev/null\n+++ b/setup.cfg\n@@ -0,0 +1 @@\n+[tool:pytest]\n",
            true,
        );
        check(
            "--- a/setup.cfg\n+++ /dev/null\n@@ -1 +0,0 @@\n-[pytest]\n",
            true,
        );
        check(
            "--- a/setup.cfg\n+++ /dev/null\n@@ -1 +0,0 @@\n-[flake8]\n",
            false,
        );
    }
}
