//! What the text of a changed file says by itself: that it no longer parses, that a merge left its
//! markers, that a name is defined twice, that a debugger's statement was left in.
//!
//! Invariants: a flaw is about something that the change brought in and the base did not have,
//! and only where it is certain; whatever cannot be told (another language, a base that did not
//! parse either, too little time) is passed over in silence. What is said about a text depends on
//! its name and content alone, and is remembered by them. This room knows text only: it must not
//! know models, probabilities, or the language server protocol.

mod conflict;
mod debug;
mod duplicate;
mod grammar;
mod parse;

use crate::change::{Content, FileChange, LineKind, Texts};
use duplicate::Definition;
use grammar::Grammar;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time for one text. What takes longer is passed over: somebody waits for the score.
const TIME_LIMIT: Duration = Duration::from_millis(200);

/// Texts that are remembered, before all are forgotten; a few kilobytes each.
const REMEMBERED: usize = 256;

/// What a flaw is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The base parsed and the new text does not.
    Syntax,
    /// A merge left its markers.
    ConflictMarker,
    /// A name that may be defined once is defined twice.
    DuplicateDefinition,
    /// A statement for a debugger or its like.
    DebugStatement,
}

impl Code {
    /// All there are.
    pub const ALL: [Self; 4] = [
        Self::Syntax,
        Self::ConflictMarker,
        Self::DuplicateDefinition,
        Self::DebugStatement,
    ];

    /// As outputs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::ConflictMarker => "conflict-marker",
            Self::DuplicateDefinition => "duplicate-definition",
            Self::DebugStatement => "debug-statement",
        }
    }

    /// What it is about, in one sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Syntax => "A file that parsed before the change and no longer does",
            Self::ConflictMarker => "Markers that a merge left in a file",
            Self::DuplicateDefinition => {
                "A name that is defined twice where it may be defined once"
            }
            Self::DebugStatement => "A statement for a debugger that was left in",
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Syntax | Self::ConflictMarker => Severity::Error,
            Self::DuplicateDefinition => Severity::Warning,
            Self::DebugStatement => Severity::Hint,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How much a flaw matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It cannot be right.
    Error,
    /// It is hardly right.
    Warning,
    /// It may be meant so.
    Hint,
}

/// Something that is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// What it is about.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// Line of the new text, 1-based.
    pub line: u32,
    /// For people, one line.
    pub message: String,
}

impl Flaw {
    fn new(code: Code, line: u32, message: String) -> Self {
        Self {
            code,
            severity: code.severity(),
            line,
            message,
        }
    }
}

/// Checks texts and remembers what it saw in them. Shared between threads.
#[derive(Debug)]
pub struct Checker {
    limit: Duration,
    seen: Mutex<HashMap<[u8; 32], Arc<Summary>>>,
}

impl Default for Checker {
    fn default() -> Self {
        Self::with_time_limit(TIME_LIMIT)
    }
}

/// What there is to say about one text, without regard to any other.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    /// The first place where it does not parse; `None` also where nothing can parse it.
    error: Option<parse::Fault>,
    /// Lines on which a conflict begins.
    conflicts: Vec<u32>,
    definitions: Vec<Definition>,
    debug: Vec<debug::Statement>,
}

impl Checker {
    /// One that takes so long for a text at most.
    #[must_use]
    pub fn with_time_limit(limit: Duration) -> Self {
        Self {
            limit,
            seen: Mutex::default(),
        }
    }

    /// What the change of a file brought in, from top to bottom. `base` is the text before, `None`
    /// of a new file.
    #[must_use]
    pub fn check(&self, change: &FileChange, base: Option<&str>, new: &str) -> Vec<Flaw> {
        let path = change.path();
        let old_path = change.old_path.as_deref().unwrap_or(path);
        if change.new_path.is_none() {
            return Vec::new();
        }
        // What was read as another language says nothing about this one.
        if Grammar::of_path(path) != Grammar::of_path(old_path) {
            return Vec::new();
        }
        let Some(after) = self.summary(path, new) else {
            return Vec::new();
        };
        let added = added_lines(change);
        let nothing = Summary::default();
        // Most texts are sound, and then the base need not be read: somebody waits for the score.
        let most = after.less(&nothing, base.is_some(), &added);
        let Some(base) = base.filter(|_| !most.is_empty() || !after.conflicts.is_empty()) else {
            return most;
        };
        self.summary(old_path, base)
            .map_or_else(Vec::new, |before| after.less(&before, true, &added))
    }

    /// The same with texts as a change set keeps them; nothing without them.
    #[must_use]
    pub fn check_texts(&self, change: &FileChange, texts: Option<&Texts>) -> Vec<Flaw> {
        texts.map_or_else(Vec::new, |texts| {
            self.check(change, texts.old.as_deref(), &texts.new)
        })
    }

    /// `None` if there is nothing to say about such files, or if there was too little time.
    fn summary(&self, path: &str, text: &str) -> Option<Arc<Summary>> {
        let grammar = Grammar::of_path(path);
        if grammar.is_none() && Content::of_path(path) == Content::Prose {
            return None;
        }
        let key = key(grammar, text);
        if let Some(known) = self.seen().get(&key) {
            return Some(Arc::clone(known));
        }
        let summary = Arc::new(Summary::of(grammar, text, self.limit)?);
        let mut seen = self.seen();
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(key, Arc::clone(&summary));
        Some(summary)
    }

    /// The map is consistent at every point where a holder can panic, so poison is ignored.
    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Arc<Summary>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Summary {
    fn of(grammar: Option<Grammar>, text: &str, limit: Duration) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Some(grammar) = grammar else {
            return Some(Self {
                conflicts: conflict::lines(text, |_| false),
                ..Self::default()
            });
        };
        let tree = parse::parse(grammar, text, limit)?;
        let root = tree.root_node();
        Some(Self {
            error: parse::first_fault(grammar, root, text),
            conflicts: conflict::lines(text, |byte| parse::is_literal_at(root, byte)),
            definitions: duplicate::definitions(grammar, root, text),
            debug: debug::statements(grammar, root, text),
        })
    }

    /// The flaws that were not there before, from top to bottom.
    fn less(&self, before: &Self, was_there: bool, added: &[RangeInclusive<u32>]) -> Vec<Flaw> {
        let is_added = |line: u32| added.iter().any(|lines| lines.contains(&line));
        let mut flaws = Vec::new();
        if self.conflicts.len() > before.conflicts.len() {
            let lines = self.conflicts.iter().copied();
            let message = "a merge left its markers here: keep one side";
            flaws.extend(
                lines
                    .filter(|line| is_added(*line))
                    .map(|line| Flaw::new(Code::ConflictMarker, line, message.into())),
            );
        } else if let (None, Some(fault)) = (&before.error, &self.error)
            && was_there
            && fault.is_certain
        {
            flaws.push(Flaw::new(Code::Syntax, fault.line, fault.to_string()));
        }
        if before.error.is_none() && self.error.is_none() {
            let (old, new) = (&before.definitions, &self.definitions);
            flaws.extend(duplicate::introduced(old, new, is_added));
        }
        if self.debug.len() > before.debug.len() {
            let statements = self.debug.iter().filter(|found| is_added(found.line));
            flaws.extend(statements.map(debug::Statement::flaw));
        }
        flaws.sort_by_key(|flaw| (flaw.line, flaw.code));
        flaws
    }
}

fn key(grammar: Option<Grammar>, text: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("{grammar:?}\0"));
    hash.update(text);
    hash.finalize().into()
}

/// The runs of added lines in the new text, 1-based.
fn added_lines(change: &FileChange) -> Vec<RangeInclusive<u32>> {
    let mut runs: Vec<RangeInclusive<u32>> = Vec::new();
    for hunk in &change.hunks {
        for (number, line) in hunk.numbered() {
            let (Some(number), LineKind::Added) = (number, line.kind) else {
                continue;
            };
            match runs.last_mut() {
                Some(run) if run.end() + 1 == number => *run = *run.start()..=number,
                _ => runs.push(number..=number),
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::FileStatus;
    use crate::change::diff::diff_texts;

    /// The change from `base` to `new`.
    fn flaws(path: &str, base: Option<&str>, new: &str) -> Vec<Flaw> {
        let hunks = diff_texts(base.unwrap_or_default(), new, Duration::from_secs(5)).hunks;
        let change = FileChange {
            old_path: base.map(|_| path.into()),
            new_path: Some(path.into()),
            status: base.map_or(FileStatus::Added, |_| FileStatus::Modified),
            hunks,
        };
        Checker::default().check(&change, base, new)
    }

    /// `expected` is a code and a line each.
    #[track_caller]
    fn check(path: &str, base: &str, new: &str, expected: &[(Code, u32)]) {
        let found = flaws(path, Some(base), new);
        let said: Vec<(Code, u32)> = found.iter().map(|it| (it.code, it.line)).collect();
        assert_eq!(said, expected, "{path}\n{new}\n{found:?}");
        assert_eq!(flaws(path, Some(new), new), [], "{path}: unchanged");
        assert!(found.iter().all(|it| it.message.lines().count() == 1));
    }

    /// A text in each language that parses, one that does not, and the line on which that shows.
    const BROKEN: [(&str, &str, &str, u32); 12] = [
        ("a.py", "x = 1\n", "x = 1\ndef f(:\n    pass\n", 2),
        (
            "a.rs",
            "fn a() {}\n",
            "fn a() {}\nfn b() { let x = ; }\n",
            2,
        ),
        ("a.js", "let a = 1;\n", "let a = 1;\nlet b = ;\n", 2),
        (
            "a.ts",
            "let a: number = 1;\n",
            "let a: number = 1;\nlet b: = 2;\n",
            2,
        ),
        (
            "a.tsx",
            "let a = <b>x</b>;\n",
            "let a = <b>x</b>;\nlet b = <b>x</c;\n",
            2,
        ),
        ("A.java", "class A {}\n", "class A {\n  void f( {}\n}\n", 2),
        ("a.go", "package a\n", "package a\n\nfunc f( {\n}\n", 3),
        ("a.rb", "x = 1\n", "x = 1\ndef f(\nend\n", 2),
        ("a.php", "<?php\n$a = 1;\n", "<?php\n$a = 1;\n$b = ;\n", 3),
        ("A.cs", "class A {}\n", "class A {\n  void F( {}\n}\n", 2),
        ("a.kt", "val a = 1\n", "val a = 1\nfun f( {\n}\n", 2),
        ("a.mjs", "f();\n", "f();\n}\n", 2),
    ];

    #[test]
    fn a_file_that_no_longer_parses_is_told_with_its_line() {
        for (path, base, new, line) in BROKEN {
            let found = flaws(path, Some(base), new);
            let codes: Vec<Code> = found.iter().map(|it| it.code).collect();
            assert_eq!(codes, [Code::Syntax], "{path}: {found:?}");
            assert!(found[0].line.abs_diff(line) <= 1, "{path}: {found:?}");
            // Not what was broken before, what was mended, or what is new: a grammar may err.
            check(path, new, base, &[]);
            check(path, new, &format!("{new}\n\n"), &[]);
            assert_eq!(flaws(path, None, new), [], "{path}");
        }
        check("a.c", "int a;\n", "int a;\nint b = ;\n", &[]);
        check("a.hs", "a = 1\n", "a = 1\nb = )\n", &[]);
        check("a.html", "<b>x</b>\n", "<b>x\n", &[]);
    }

    #[test]
    fn markers_of_a_merge_are_told_but_not_those_in_strings_and_prose() {
        let merge = "<<<<<<< HEAD\ny = 2\n=======\ny = 3\n>>>>>>> topic\n";
        let after = format!("x = 1\n{merge}");
        for path in ["a.py", "a.toml", "a.hs", "a.c", "x", "a.rs"] {
            check(path, "x = 1\n", &after, &[(Code::ConflictMarker, 2)]);
            check(path, &after, &format!("{after}z = 1\n"), &[]);
        }
        check("a.md", "x = 1\n", &after, &[]);
        let quoted = format!("x = \"\"\"\n{merge}\"\"\"\n");
        check("a.py", "x = 1\n", &quoted, &[]);
        check(
            "a.rs",
            "",
            &format!("const X: &str = r#\"\n{merge}\"#;\n"),
            &[],
        );
        check("a.js", "", &format!("const x = `\n{merge}`;\n"), &[]);
        check(
            "a.go",
            "package a\n",
            &format!("package a\n\n/*\n{merge}*/\n"),
            &[],
        );
    }

    #[test]
    fn a_second_definition_is_told_where_the_language_knows_no_second_one() {
        let twice = |path: &str, head: &str, one: &str, tail: &str, line: u32| {
            let base = format!("{head}{one}{tail}");
            let new = format!("{head}{one}{one}{tail}");
            check(path, &base, &new, &[(Code::DuplicateDefinition, line)]);
            // Both at once, and a third one.
            let none = format!("{head}{tail}");
            check(path, &none, &new, &[(Code::DuplicateDefinition, line)]);
            let three = format!("{head}{one}{one}{one}{tail}");
            check(path, &new, &three, &[]);
        };
        twice("a.py", "", "def f():\n    pass\n", "", 3);
        twice(
            "a.py",
            "class A:\n",
            "    def f(self):\n        pass\n",
            "",
            4,
        );
        twice("a.py", "", "class A:\n    x = 1\n", "", 3);
        twice("a.rs", "", "fn f() {}\n", "", 2);
        twice("a.rs", "", "#[test]\nfn f() {}\n", "", 4);
        twice("a.rs", "impl A {\n", "    pub fn f(&self) {}\n", "}\n", 3);
        twice("a.rs", "mod tests {\n", "    struct B;\n", "}\n", 3);
        twice("a.js", "", "function f() {}\n", "", 2);
        twice("a.js", "class A {\n", "  f() {}\n", "}\n", 3);
        twice("a.ts", "", "export function f(a: number) {}\n", "", 2);
        twice("a.go", "package a\n", "func f() {}\n", "", 3);
        twice("a.go", "package a\n", "func (a *A) f() {}\n", "", 3);
        twice("a.go", "package a\n", "type T struct{}\n", "", 3);
        twice("A.java", "class A {\n", "  void f(int a) {}\n", "}\n", 3);
        twice("a.php", "<?php\n", "function f() {}\n", "", 3);
        twice(
            "a.php",
            "<?php\nclass A {\n",
            "  public function f() {}\n",
            "}\n",
            4,
        );
    }

    #[test]
    fn names_that_may_stand_twice_are_passed_over() {
        for (path, text) in [
            (
                "a.py",
                "@overload\ndef f(a): ...\n@overload\ndef f(b): ...\ndef f(c): ...\n",
            ),
            (
                "a.py",
                "class A:\n    @property\n    def f(self): ...\n    @f.setter\n    def f(self, x): ...\n",
            ),
            ("a.py", "if x:\n    def f(): ...\nelse:\n    def f(): ...\n"),
            (
                "a.py",
                "try:\n    def f(): ...\nexcept E:\n    def f(): ...\n",
            ),
            ("a.py", "def f(): ...\nregister(f)\ndef f(): ...\n"),
            ("a.py", "def _(): ...\ndef _(): ...\n"),
            ("a.py", "def g():\n    def f(): ...\n    def f(): ...\n"),
            (
                "a.py",
                "class A:\n    def f(self): ...\nclass B:\n    def f(self): ...\n",
            ),
            (
                "a.rs",
                "#[cfg(unix)]\nfn f() {}\n#[cfg(windows)]\nfn f() {}\n",
            ),
            (
                "a.rs",
                "#[cfg(unix)]\n/// Said.\nfn f() {}\n#[cfg(windows)]\nfn f() {}\n",
            ),
            ("a.rs", "struct F;\nfn F() {}\n"),
            ("a.rs", "const _: () = ();\nconst _: () = ();\n"),
            (
                "a.rs",
                "impl A<u8> {\n    fn f() {}\n}\nimpl A<u16> {\n    fn f() {}\n}\n",
            ),
            (
                "a.rs",
                "macro_rules! m { () => {} }\nmacro_rules! m { () => {} }\n",
            ),
            (
                "a.ts",
                "function f(a: number): void;\nfunction f(a: string): void;\nfunction f(a: any) {}\n",
            ),
            (
                "a.ts",
                "class A {\n  f(a: number): void;\n  f(a: string): void;\n  f(a: any) {}\n}\n",
            ),
            (
                "a.js",
                "class A {\n  get f() { return 1; }\n  set f(x) {}\n}\n",
            ),
            ("a.js", "class A {\n  static f() {}\n  f() {}\n}\n"),
            (
                "a.js",
                "if (x) { function f() {} } else { function f() {} }\n",
            ),
            ("a.go", "package a\nfunc init() {}\nfunc init() {}\n"),
            ("a.go", "package a\nfunc (a A) f() {}\nfunc (b *B) f() {}\n"),
            (
                "A.java",
                "class A {\n  void f(int a) {}\n  void f(long a) {}\n  void f(int... a) {}\n  void f(int a, int b) {}\n}\n",
            ),
            (
                "A.java",
                "class A {\n  <T extends B> void f(T a) {}\n  <T extends C> void f(T a) {}\n}\n",
            ),
            (
                "a.php",
                "<?php\nnamespace A;\nfunction f() {}\nnamespace B;\nfunction f() {}\n",
            ),
            (
                "a.php",
                "<?php\nif (x()) {\n  function f() {}\n}\nfunction f() {}\n",
            ),
            ("a.rb", "def f\nend\ndef f\nend\n"),
            (
                "A.cs",
                "class A {\n  void F(int a) {}\n  void F(long a) {}\n}\n",
            ),
            ("a.kt", "fun A.f() {}\nfun B.f() {}\n"),
        ] {
            check(path, "", text, &[]);
        }
    }

    #[test]
    fn what_stops_in_a_debugger_is_told_once_it_is_new() {
        for (path, base, new, line) in [
            ("a.py", "x = 1\n", "x = 1\nbreakpoint()\n", 2),
            ("a.py", "import pdb\n", "import pdb\npdb.set_trace()\n", 2),
            ("a.js", "f();\n", "f();\ndebugger;\n", 2),
            ("a.ts", "f();\n", "debugger;\nf();\n", 1),
            ("a.rs", "fn a() {\n}\n", "fn a() {\n    dbg!(1);\n}\n", 2),
            ("a.rb", "f\n", "f\nbinding.pry\n", 2),
            ("a.php", "<?php\nf();\n", "<?php\nf();\nvar_dump($x);\n", 3),
        ] {
            check(path, base, new, &[(Code::DebugStatement, line)]);
            check(path, new, &format!("{new}\n"), &[]);
        }
        check(
            "a.py",
            "",
            "# breakpoint()\ns = 'breakpoint()'\nx.breakpoint()\n",
            &[],
        );
        check("a.rs", "", "// dbg!(1)\nconst X: &str = \"dbg!\";\n", &[]);
        check("a.py", "", "print(1)\n", &[]);
    }

    #[test]
    fn a_text_is_read_once_and_a_deleted_file_says_nothing() {
        let checker = Checker::default();
        let change = FileChange {
            old_path: Some("a.rs".into()),
            new_path: None,
            status: FileStatus::Deleted,
            hunks: Vec::new(),
        };
        assert_eq!(checker.check(&change, Some("fn a() {}"), ""), []);
        let moved = FileChange {
            new_path: Some("a.py".into()),
            status: FileStatus::Renamed,
            ..change
        };
        assert_eq!(checker.check(&moved, Some("fn a() {}"), "fn a() {}"), []);
        assert!(checker.seen().is_empty());
        let first = checker.summary("a.rs", "fn a() {}").unwrap();
        assert!(Arc::ptr_eq(
            &first,
            &checker.summary("b.rs", "fn a() {}").unwrap()
        ));
        assert!(!Arc::ptr_eq(
            &first,
            &checker.summary("b.py", "fn a() {}").unwrap()
        ));
    }

    #[test]
    fn no_text_takes_longer_than_its_time() {
        let text = "f(".repeat(300_000);
        assert!(parse::parse(Grammar::Python, &text, Duration::ZERO).is_none());
    }
}
