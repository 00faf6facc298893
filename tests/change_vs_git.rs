//! Cross-check: the change set against what git itself says about the same repository.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use diffidence::change::{
    Base, ChangeOptions, ChangeSet, ChangedFile, FileChange, LineKind, Outcome, Patch, SkipReason,
    UnchangedReason, change_of_file,
};
use support::{Random, Repo, command};

fn change_set(root: &Path) -> ChangeSet {
    ChangeSet::of(root, &ChangeOptions::default()).expect("a change set")
}

fn run(root: &Path, arguments: &[&str], index: Option<&Path>) -> Vec<u8> {
    let mut command = command(root);
    command.args(arguments);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Paths of `git status`, both of them for a rename.
fn status_paths(root: &Path) -> BTreeSet<String> {
    let text = run(
        root,
        &["status", "--porcelain=v2", "-z", "--untracked-files=all"],
        None,
    );
    let mut paths = BTreeSet::new();
    let mut records = text.split(|&byte| byte == 0);
    while let Some(record) = records.next() {
        let record = String::from_utf8_lossy(record).into_owned();
        let fields = match record.chars().next() {
            Some('1') => 9,
            Some('2') => 10,
            Some('u') => 11,
            Some('?') => 2,
            _ => continue,
        };
        if fields == 10 {
            let old = records.next().unwrap();
            paths.insert(String::from_utf8_lossy(old).into_owned());
        }
        let path = record.splitn(fields, ' ').last().unwrap();
        paths.insert(path.trim_end_matches('/').to_owned());
    }
    paths
}

/// What `git diff HEAD` would say if untracked files were tracked: they are added, with no
/// content, to a copy of the index.
fn git_diff(root: &Path, arguments: &[&str]) -> BTreeMap<String, FileChange> {
    let git_path = |name| {
        let path = run(
            root,
            &["rev-parse", "--path-format=absolute", "--git-path", name],
            None,
        );
        PathBuf::from(String::from_utf8(path).unwrap().trim_end())
    };
    let copy = git_path("index-for-comparison");
    if git_path("index").exists() {
        std::fs::copy(git_path("index"), &copy).unwrap();
        // Git finds edits made right after a commit by comparing times with the index's own.
        let written = std::fs::metadata(git_path("index"))
            .unwrap()
            .modified()
            .unwrap();
        std::fs::File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .set_modified(written)
            .unwrap();
    }
    run(root, &["add", "--intent-to-add", "--", "."], Some(&copy));
    let base = if command(root)
        .args(["rev-parse", "--verify", "-q", "HEAD"])
        .output()
        .unwrap()
        .status
        .success()
    {
        "HEAD"
    } else {
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    };
    let fixed = ["diff", "--no-ext-diff", "--no-textconv", "-M", base];
    let text = run(root, &[&fixed[..], arguments].concat(), Some(&copy));
    let _ = std::fs::remove_file(copy);
    if text.is_empty() {
        return BTreeMap::new();
    }
    let patch = Patch::from_unified(&text).expect("git's own diff");
    patch
        .files
        .into_iter()
        .map(|file| (file.path().to_owned(), file))
        .collect()
}

fn show(file: &FileChange) -> String {
    let patch = Patch {
        files: vec![file.clone()],
    };
    patch.to_unified()
}

/// What the hunks do to the old text, for texts in which there are several shortest diffs.
fn apply(old: &[u8], file: &FileChange) -> Vec<String> {
    let old = String::from_utf8(old.to_vec()).unwrap();
    let old: Vec<&str> = old.lines().collect();
    let mut new: Vec<String> = Vec::new();
    let mut at = 0;
    for hunk in &file.hunks {
        let start = hunk.old.start as usize - usize::from(hunk.old.lines > 0);
        new.extend(old[at..start].iter().map(ToString::to_string));
        at = start + hunk.old.lines as usize;
        new.extend(
            hunk.lines
                .iter()
                .filter(|line| line.kind != LineKind::Removed)
                .map(|line| line.text.clone()),
        );
    }
    new.extend(old[at..].iter().map(ToString::to_string));
    new
}

fn count(file: &FileChange, kind: LineKind) -> usize {
    file.hunks.iter().map(|hunk| hunk.count(kind)).sum()
}

/// How a comparison went: files with the same hunks as git's, and files with other hunks of the
/// same size.
#[derive(Default)]
struct Tally {
    same: usize,
    other: usize,
}

/// Compares the list of files and every changed line.
#[track_caller]
fn check(root: &Path) -> Tally {
    check_with(root, &[])
}

#[track_caller]
fn check_with(root: &Path, arguments: &[&str]) -> Tally {
    let ours = change_set(root);
    let mut paths = BTreeSet::new();
    for file in &ours.files {
        paths.insert(file.path.clone());
        paths.extend(file.old_path.clone());
    }
    assert_eq!(paths, status_paths(root), "list of files");
    let sorted: Vec<_> = ours.files.iter().map(|file| &file.path).collect();
    assert!(sorted.is_sorted());

    let mut theirs = git_diff(root, arguments);
    let mut tally = Tally::default();
    for file in &ours.files {
        let git = theirs.remove(&file.path);
        match &file.outcome {
            Outcome::Changed {
                change, base_blob, ..
            } => {
                let git = git.unwrap_or_else(|| panic!("git sees no change in {}", file.path));
                let paths =
                    |file: &FileChange| (file.status, file.old_path.clone(), file.new_path.clone());
                assert_eq!(paths(change), paths(&git));
                assert_eq!(base_blob.is_some(), change.old_path.is_some());
                if *change == git {
                    tally.same += 1;
                } else {
                    tally.other += 1;
                    for kind in [LineKind::Added, LineKind::Removed] {
                        assert_eq!(
                            count(change, kind),
                            count(&git, kind),
                            "ours:\n{}git:\n{}",
                            show(change),
                            show(&git)
                        );
                    }
                    let base = format!("HEAD:{}", change.old_path.as_ref().unwrap());
                    let old = run(root, &["cat-file", "blob", &base], None);
                    assert_eq!(apply(&old, change), apply(&old, &git));
                }
            }
            Outcome::Unchanged { .. } => {
                assert!(git.is_none_or(|git| git.hunks.is_empty()), "{file:?}");
            }
            Outcome::Skipped(_) => {}
        }
        // The same answer for the file alone. The old path of a deleted or renamed file, too.
        let alone =
            change_of_file(&root.join(&file.path), None, &ChangeOptions::default()).unwrap();
        assert_eq!(alone.path, file.path);
        let nested = matches!(
            file.outcome,
            Outcome::Skipped(SkipReason::NestedRepository | SkipReason::Submodule)
        );
        if file.old_path.is_none() && alone.old_path.is_none() && !nested {
            assert_eq!(alone.outcome, file.outcome, "{}", file.path);
        }
    }
    let left: Vec<_> = theirs
        .values()
        .filter(|file| !file.hunks.is_empty())
        .collect();
    assert!(left.is_empty(), "git alone sees {left:?}");
    tally
}

#[track_caller]
fn outcome(set: &ChangeSet, path: &str) -> Outcome {
    let file = set.files.iter().find(|file| file.path == path);
    file.unwrap_or_else(|| panic!("{path} is not in {:?}", set.files))
        .outcome
        .clone()
}

#[track_caller]
fn skipped(set: &ChangeSet, path: &str) -> SkipReason {
    match outcome(set, path) {
        Outcome::Skipped(reason) => reason,
        other => panic!("{path}: {other:?}"),
    }
}

#[track_caller]
fn changed(file: &Outcome) -> &FileChange {
    match file {
        Outcome::Changed { change, .. } => change,
        other => panic!("{other:?}"),
    }
}

const NAMES: &[&str] = &[
    "main.rs",
    "lib.rs",
    "a b.txt",
    "däta.py",
    "src/x.c",
    "src/y.c",
    "src/deep/z.js",
    "日本/語.md",
    "README",
    "tab le.txt",
    "src/mod.rs",
    "tests/t.rs",
    "q'uote.sh",
    "emoji 🦀.rs",
];

const PIECES: &[&str] = &[
    "fn one() {",
    "    let x = 1;",
    "    call(x);",
    "}",
    "",
    "    return 2;",
    "        deeper();",
    "# comment",
    "if a:",
    "    pass",
    "end",
    "\tindented",
    "    // note",
    "let value = other;",
];

fn random_text(random: &mut Random) -> String {
    let mut text = String::new();
    for number in 0..random.below(60) {
        text.push_str(random.pick::<&str>(PIECES));
        // Some lines are unique, as in real files.
        if random.one_in(2) {
            text += &format!(" {number} {}", random.below(1000));
        }
        text.push('\n');
    }
    if random.one_in(5) {
        text += "no newline at the end";
    }
    text
}

fn edited(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for _ in 0..=random.below(5) {
        let at = random.below(lines.len() + 1);
        match random.below(4) {
            0 if at < lines.len() => {
                lines.remove(at);
            }
            1 if at < lines.len() => lines[at] = format!("changed {}\n", random.below(100)),
            2 if at < lines.len() => {
                // A copied block can stand in several places.
                let end = (at + 1 + random.below(5)).min(lines.len());
                let block: Vec<String> = lines[at..end].to_vec();
                lines.splice(at..at, block);
            }
            _ => lines.insert(at, format!("{}\n", random.pick(PIECES))),
        }
    }
    let text = lines.concat();
    match random.below(8) {
        0 => text.trim_end_matches('\n').to_owned(),
        1 if !text.ends_with('\n') => text + "\n",
        _ => text,
    }
}

fn files(repo: &Repo) -> Vec<String> {
    let listed = repo.git(&["ls-files", "-z", "--cached", "--others"]);
    let listed = String::from_utf8(listed).unwrap();
    let mut files: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    files.dedup();
    files.retain(|file| repo.path(file).exists());
    files
}

#[test]
fn generated_repositories() {
    let mut tally = Tally::default();
    for seed in 0..60 {
        let mut random = Random(seed);
        let repo = Repo::new();
        repo.write(".gitignore", "*.ignored\n");
        for name in NAMES {
            if !random.one_in(3) {
                let text = random_text(&mut random);
                repo.write(name, text);
            }
        }
        repo.commit();
        for _ in 0..random.below(9) {
            let files = files(&repo);
            let file = random.pick(&files).clone();
            if file == ".gitignore" {
                continue;
            }
            match random.below(9) {
                0 => {
                    repo.remove(&file);
                }
                1 => {
                    let to = format!("moved/{}", file.replace('/', "-"));
                    repo.rename(&file, &to);
                    if random.one_in(2) {
                        let text = String::from_utf8(repo.read(&to)).unwrap();
                        repo.write(&to, edited(&mut random, &text));
                    }
                }
                2 => {
                    let text = random_text(&mut random);
                    repo.write(&format!("new/{}.txt", random.below(9)), text);
                    repo.write("new/x.ignored", "ignored");
                }
                3 => {
                    repo.add();
                }
                4 => {
                    repo.try_git(&["rm", "--cached", "--quiet", "--", &file]);
                    repo.remove(&file);
                }
                _ => {
                    let text = String::from_utf8(repo.read(&file)).unwrap();
                    repo.write(&file, edited(&mut random, &text));
                }
            }
        }
        let found = std::panic::catch_unwind(|| check(repo.root()));
        let Ok(found) = found else {
            panic!("seed {seed}")
        };
        tally.same += found.same;
        tally.other += found.other;
        // Committed on a branch it is the same change.
        let uncommitted = change_set(repo.root());
        repo.git(&["checkout", "--quiet", "-b", "side"]);
        repo.commit().git(&["checkout", "--quiet", "main"]);
        repo.write("unrelated.txt", "x\n").commit();
        let options = ChangeOptions::default();
        let committed = ChangeSet::of_commit(repo.root(), "side", &options).unwrap();
        assert_eq!(committed.files, uncommitted.files, "seed {seed}");
    }
    // Where several diffs are equally short, git's search may settle for another one.
    assert!(tally.same >= 100, "{} files", tally.same);
    assert!(
        tally.other * 20 <= tally.same,
        "{} of {} differ",
        tally.other,
        tally.same
    );
}

#[test]
fn before_the_first_commit() {
    let repo = Repo::new();
    check(repo.root());
    repo.write("a.rs", "fn a() {}\n")
        .write("b.rs", "b\n")
        .git(&["add", "a.rs"]);
    check(repo.root());
    let set = change_set(repo.root());
    assert_eq!(set.base_commit, None);
    assert_eq!(set.files.len(), 2);
}

#[test]
fn linked_worktree() {
    let repo = Repo::new();
    repo.write("a.rs", "a\nb\n").write("c.rs", "c\n").commit();
    let linked = repo.linked_worktree("linked");
    std::fs::write(linked.join("a.rs"), "a\nB\n").unwrap();
    std::fs::write(linked.join("new.rs"), "n\n").unwrap();
    assert_eq!(check(&linked).same, 2);
    assert!(change_set(repo.root()).files.is_empty());
    let inner = linked.join("c.rs");
    assert_eq!(change_set(&inner).root, linked);
}

#[test]
fn submodules_and_nested_repositories() {
    let inner = Repo::new();
    inner.write("lib.c", "1\n").commit();
    let repo = Repo::new();
    repo.write("a.rs", "a\n").commit();
    for name in ["clean", "moved", "dirty", "untracked"] {
        repo.git(&[
            "submodule",
            "--quiet",
            "add",
            inner.root().to_str().unwrap(),
            name,
        ]);
    }
    repo.commit();
    assert!(change_set(repo.root()).files.is_empty());
    let moved = Repo::at(repo.path("moved"));
    moved.write("lib.c", "2\n").commit();
    repo.write("dirty/lib.c", "3\n")
        .write("untracked/new.c", "4\n");
    repo.write("nested/x.c", "x\n");
    Repo::at(repo.path("nested")).git(&["init", "--quiet"]);
    let set = change_set(repo.root());
    for path in ["moved", "dirty", "untracked"] {
        assert_eq!(skipped(&set, path), SkipReason::Submodule);
    }
    assert_eq!(skipped(&set, "nested"), SkipReason::NestedRepository);
    let listed: BTreeSet<_> = set.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(listed, status_paths(repo.root()));
    // A file in a submodule belongs to the submodule's own repository.
    let file = change_of_file(&repo.path("dirty/lib.c"), None, &ChangeOptions::default()).unwrap();
    assert_eq!(file.path, "lib.c");
    assert_eq!(changed(&file.outcome).hunks.len(), 1);
}

#[test]
fn conflicts() {
    let repo = Repo::new();
    repo.write("a.rs", "a\n").write("b.rs", "b\n").commit();
    repo.git(&["checkout", "--quiet", "-b", "other"]);
    repo.write("a.rs", "theirs\n").remove("b.rs").commit();
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("a.rs", "ours\n")
        .write("b.rs", "ours\n")
        .commit();
    assert!(!repo.try_git(&["merge", "--quiet", "other"]));
    repo.write("c.rs", "c\n");
    let set = change_set(repo.root());
    assert_eq!(skipped(&set, "a.rs"), SkipReason::Conflict);
    assert_eq!(skipped(&set, "b.rs"), SkipReason::Conflict);
    let listed: BTreeSet<_> = set.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(listed, status_paths(repo.root()));
}

#[test]
fn states_of_the_index() {
    let repo = Repo::new();
    repo.write("staged.rs", "1\n2\n3\n")
        .write("back.rs", "1\n")
        .write("again.rs", "1\n2\n");
    repo.write("gone.rs", "1\n")
        .write("mode.sh", "1\n")
        .commit();
    repo.write("staged.rs", "1\n2\nX\n")
        .write("back.rs", "2\n")
        .write("brief.rs", "b\n")
        .add();
    repo.write("staged.rs", "0\n1\n2\nX\n")
        .write("back.rs", "1\n")
        .remove("brief.rs");
    repo.write("intended.rs", "i\n")
        .git(&["add", "--intent-to-add", "intended.rs"]);
    repo.git(&["rm", "--quiet", "gone.rs"]);
    repo.git(&["rm", "--quiet", "--cached", "again.rs"]);
    executable(&repo.path("mode.sh"));
    check_again(&repo);

    let set = change_set(repo.root());
    let unchanged = |why| Outcome::Unchanged { why };
    assert_eq!(
        outcome(&set, "back.rs"),
        unchanged(UnchangedReason::SameAsBase)
    );
    assert_eq!(
        outcome(&set, "again.rs"),
        unchanged(UnchangedReason::SameAsBase)
    );
    assert_eq!(
        outcome(&set, "mode.sh"),
        unchanged(UnchangedReason::ModeOnly)
    );
    assert_eq!(
        outcome(&set, "brief.rs"),
        unchanged(UnchangedReason::EmptyFile)
    );

    let staged = ChangeOptions {
        staged: true,
        ..ChangeOptions::default()
    };
    let set = ChangeSet::of(repo.root(), &staged).unwrap();
    let names: Vec<_> = set.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        names,
        ["again.rs", "back.rs", "brief.rs", "gone.rs", "staged.rs"]
    );
    let staged = outcome(&set, "staged.rs");
    assert_eq!(
        (
            count(changed(&staged), LineKind::Added),
            count(changed(&staged), LineKind::Removed)
        ),
        (1, 1)
    );

    let unstaged = ChangeOptions {
        base: Base::Index,
        ..ChangeOptions::default()
    };
    let set = ChangeSet::of(repo.root(), &unstaged).unwrap();
    let staged = outcome(&set, "staged.rs");
    assert_eq!(
        (
            count(changed(&staged), LineKind::Added),
            count(changed(&staged), LineKind::Removed)
        ),
        (1, 0)
    );
    assert_eq!(changed(&outcome(&set, "again.rs")).old_path, None);
}

/// A staged deletion that is on disk again is both deleted and new for git; for us it is compared
/// with the base like any other file.
fn check_again(repo: &Repo) {
    check(repo.root());
    repo.write("again.rs", "1\n2\n3\n");
    let set = change_set(repo.root());
    let again = outcome(&set, "again.rs");
    assert_eq!(count(changed(&again), LineKind::Added), 1);
    assert_eq!(count(changed(&again), LineKind::Removed), 0);
    repo.write("again.rs", "1\n2\n");
}

#[cfg(unix)]
fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn line_endings() {
    for (autocrlf, attributes) in [
        ("false", ""),
        ("true", ""),
        ("input", ""),
        ("false", "* text=auto\n"),
        ("false", "*.txt text eol=crlf\n"),
        ("true", "*.txt -text\n"),
    ] {
        let repo = Repo::new();
        repo.config("core.autocrlf", autocrlf)
            .config("core.safecrlf", "false");
        repo.write(".gitattributes", attributes);
        for name in [
            "lf.txt",
            "edited.txt",
            "switched.txt",
            "crlf.txt",
            "mixed.txt",
        ] {
            let lines: String = (0..30).map(|line| format!("line {line}\n")).collect();
            let text = match name {
                "crlf.txt" => lines.replace('\n', "\r\n"),
                "mixed.txt" => lines.replace("3\n", "3\r\n"),
                _ => lines,
            };
            repo.write(name, text);
        }
        repo.commit();
        // As a checkout writes them.
        repo.git(&["rm", "--quiet", "--cached", "-r", "."]);
        repo.git(&["reset", "--quiet", "--hard"]);
        for name in ["edited.txt", "crlf.txt", "mixed.txt"] {
            let text = String::from_utf8(repo.read(name)).unwrap();
            repo.write(name, text.replace("line 12", "LINE 12"));
        }
        let text = String::from_utf8(repo.read("switched.txt")).unwrap();
        let switched = if text.contains('\r') {
            text.replace("\r\n", "\n")
        } else {
            text.replace('\n', "\r\n")
        };
        repo.write("switched.txt", switched);
        // Git takes the flag for all lines; a missing line end would be hidden, too.
        let tally = check_with(repo.root(), &["--ignore-cr-at-eol"]);
        assert_eq!(
            (tally.same, tally.other),
            (3, 0),
            "autocrlf={autocrlf} {attributes}"
        );
        if autocrlf == "false" && attributes.is_empty() {
            let why = UnchangedReason::LineEndingsOnly;
            assert_eq!(
                outcome(&change_set(repo.root()), "switched.txt"),
                Outcome::Unchanged { why }
            );
        }
    }
}

#[test]
fn encodings_and_keywords() {
    let repo = Repo::new();
    repo.write(
        ".gitattributes",
        "*.utf16 text working-tree-encoding=UTF-16LE\n*.id ident\n",
    );
    let utf16 = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    repo.write("a.utf16", utf16("one\ntwo\n"))
        .write("b.id", "$Id$\nx\n")
        .commit();
    repo.remove("b.id").git(&["checkout", "--quiet", "b.id"]);
    assert!(
        String::from_utf8(repo.read("b.id"))
            .unwrap()
            .starts_with("$Id: ")
    );
    assert!(change_set(repo.root()).files.is_empty());
    repo.write("a.utf16", utf16("one\nTWO\n"));
    let id = String::from_utf8(repo.read("b.id")).unwrap();
    repo.write("b.id", id.replace('x', "y"));
    assert_eq!(check(repo.root()).same, 2);
}

#[test]
fn skipped_files() {
    let repo = Repo::new();
    repo.write(
        ".gitattributes",
        "gen/* linguist-generated\nvendor.min.js -linguist-generated\n*.csv -diff\n",
    );
    repo.write(".gitignore", "build/\n")
        .write("target.rs", "t\n")
        .commit();
    repo.write("gen/a.rs", "a\n")
        .write("x.min.js", "a\n")
        .write("vendor.min.js", "a\n")
        .write("t.csv", "a\n");
    repo.write("Cargo.lock", "a\n")
        .write("bin", b"a\0b")
        .write("latin.txt", b"caf\xe9\n");
    repo.write(
        "lfs.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    );
    repo.write("big.rs", "x\n".repeat(600_000))
        .write("long.rs", "\n".repeat(60_000));
    repo.write("build/out.rs", "ignored\n");
    std::os::unix::fs::symlink("target.rs", repo.path("link.rs")).unwrap();
    std::os::unix::fs::symlink("/nowhere", repo.path("dangling")).unwrap();
    let set = change_set(repo.root());
    let listed: BTreeSet<_> = set.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(listed, status_paths(repo.root()));
    for (path, reason) in [
        ("gen/a.rs", SkipReason::MarkedGenerated),
        ("x.min.js", SkipReason::GeneratedName),
        ("t.csv", SkipReason::NoDiff),
        ("Cargo.lock", SkipReason::LockFile),
        ("bin", SkipReason::Binary),
        ("latin.txt", SkipReason::NotUtf8),
        ("lfs.bin", SkipReason::LfsPointer),
        (
            "big.rs",
            SkipReason::TooLarge {
                bytes: 1_200_000,
                limit: 1_048_576,
            },
        ),
        (
            "long.rs",
            SkipReason::TooManyLines {
                lines: 60_000,
                limit: 50_000,
            },
        ),
        ("link.rs", SkipReason::Symlink),
        ("dangling", SkipReason::Symlink),
    ] {
        assert_eq!(skipped(&set, path), reason, "{path}");
        let alone = change_of_file(&repo.path(path), None, &ChangeOptions::default()).unwrap();
        assert_eq!(alone.outcome, Outcome::Skipped(reason), "{path}");
    }
    changed(&outcome(&set, "vendor.min.js"));
    let ignored =
        change_of_file(&repo.path("build/out.rs"), None, &ChangeOptions::default()).unwrap();
    assert_eq!(ignored.outcome, Outcome::Skipped(SkipReason::Ignored));
}

#[test]
fn folders_behind_links_are_not_entered() {
    let repo = Repo::new();
    repo.write("dir/a.rs", "a\n").write("file", "f\n").commit();
    let outside = repo.beside("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("a.rs"), "secret\n").unwrap();
    std::fs::remove_dir_all(repo.path("dir")).unwrap();
    std::os::unix::fs::symlink(&outside, repo.path("dir")).unwrap();
    repo.remove("file").write("file/inner.rs", "i\n");
    let set = change_set(repo.root());
    assert_eq!(changed(&outcome(&set, "dir/a.rs")).new_path, None);
    assert_eq!(skipped(&set, "dir"), SkipReason::Symlink);
    let listed: BTreeSet<_> = set.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(listed, status_paths(repo.root()));
}

#[test]
fn no_program_of_the_repository_is_run() {
    let repo = Repo::new();
    let marker = repo.beside("marker");
    let program = format!("touch '{}'; cat", marker.display());
    repo.write("a.dat", "a\n")
        .write("b.rs", "b\n")
        .write("c.off", "c\n")
        .commit();
    let sub = Repo::new();
    sub.write("s.dat", "s\n").commit();
    repo.git(&[
        "submodule",
        "--quiet",
        "add",
        sub.root().to_str().unwrap(),
        "sub",
    ]);
    repo.commit();
    for repo in [&repo, &Repo::at(repo.path("sub"))] {
        for key in [
            "filter.evil.clean",
            "filter.evil.smudge",
            "filter.evil.process",
            "diff.evil.textconv",
            "diff.evil.command",
            "diff.external",
            "core.fsmonitor",
            "credential.helper",
            "core.sshCommand",
            "core.pager",
            "core.editor",
            "core.gitProxy",
            "uploadpack.packObjectsHook",
        ] {
            repo.config(key, &program);
        }
        repo.config("filter.evil.required", "true");
        repo.write(
            ".gitattributes",
            "*.dat filter=evil diff=evil\n*.off filter=unknown\n",
        );
    }
    for hook in [
        "fsmonitor-watchman",
        "post-index-change",
        "pre-commit",
        "post-checkout",
    ] {
        repo.write(
            &format!(".git/hooks/{hook}"),
            format!("#!/bin/sh\n{program}\n"),
        );
        executable(&repo.path(&format!(".git/hooks/{hook}")));
    }
    repo.write("a.dat", "changed\n")
        .write("new.dat", "n\n")
        .write("b.rs", "B\n")
        .write("c.off", "C\n");
    repo.write("sub/s.dat", "changed\n");
    let set = change_set(repo.root());
    let evil = SkipReason::FilterDriver {
        name: "evil".into(),
    };
    assert_eq!(skipped(&set, "a.dat"), evil);
    assert_eq!(skipped(&set, "new.dat"), evil);
    assert_eq!(skipped(&set, "sub"), SkipReason::Submodule);
    changed(&outcome(&set, "b.rs"));
    changed(&outcome(&set, "c.off"));
    for path in ["a.dat", "b.rs", "sub/s.dat"] {
        change_of_file(
            &repo.path(path),
            Some("buffer\n"),
            &ChangeOptions::default(),
        )
        .unwrap();
    }
    assert!(!marker.exists());
}

#[test]
fn buffers_win_over_the_disk() {
    let repo = Repo::new();
    repo.write("a.rs", "a\n")
        .write("b.rs", "b\n")
        .write("bom.rs", "\u{feff}x\n")
        .write(".gitignore", "*.o\n")
        .commit();
    repo.write("a.rs", "on disk\n");
    let mut options = ChangeOptions::default();
    for (path, text) in [
        ("a.rs", "a\n"),
        ("b.rs", "b\r\nnew\r\n"),
        ("c.rs", "unsaved\n"),
        ("d.o", "x\n"),
        ("bom.rs", "x\n"),
    ] {
        options.buffers.insert(repo.path(path), text.to_owned());
    }
    options
        .buffers
        .insert(repo.beside("elsewhere.rs"), String::new());
    let set = ChangeSet::of(repo.root(), &options).unwrap();
    let names: Vec<_> = set.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["b.rs", "c.rs"]);
    let file = outcome(&set, "b.rs");
    assert_eq!(
        (
            count(changed(&file), LineKind::Added),
            count(changed(&file), LineKind::Removed)
        ),
        (1, 0)
    );
    let one = |path, text| {
        change_of_file(&repo.path(path), Some(text), &ChangeOptions::default())
            .unwrap()
            .outcome
    };
    assert_eq!(one("b.rs", "b\r\nnew\r\n"), file);
    assert_eq!(one("c.rs", "unsaved\n"), outcome(&set, "c.rs"));
    assert_eq!(
        one("a.rs", "a\n"),
        Outcome::Unchanged {
            why: UnchangedReason::SameAsBase
        }
    );
    assert_eq!(one("d.o", "x\n"), Outcome::Skipped(SkipReason::Ignored));
}

#[test]
fn renames_of_a_single_file() {
    let repo = Repo::new();
    let text: String = (0..40).map(|line| format!("line {line}\n")).collect();
    repo.write("old.rs", &text)
        .write("other.rs", "x\n")
        .commit();
    repo.rename("old.rs", "dir/new.rs")
        .write("dir/new.rs", text.replace("line 7\n", "seven\n"));
    let check = |file: ChangedFile| {
        assert_eq!(file.old_path.as_deref(), Some("old.rs"));
        assert_eq!(changed(&file.outcome).hunks.len(), 1);
    };
    let path = repo.path("dir/new.rs");
    check(change_of_file(&path, None, &ChangeOptions::default()).unwrap());
    repo.add();
    check(change_of_file(&path, None, &ChangeOptions::default()).unwrap());
    let buffer = text.replace("line 8\n", "eight\n");
    check(change_of_file(&path, Some(&buffer), &ChangeOptions::default()).unwrap());
    let staged = ChangeOptions {
        staged: true,
        ..ChangeOptions::default()
    };
    check(change_of_file(&path, None, &staged).unwrap());
}

#[test]
fn partial_checkouts_and_index_forms() {
    let repo = Repo::new();
    for folder in ["in", "out/deep"] {
        repo.write(&format!("{folder}/a.rs"), "a\n")
            .write(&format!("{folder}/b.rs"), "b\n");
    }
    repo.commit();
    for sparse_index in ["--no-sparse-index", "--sparse-index"] {
        repo.git(&["sparse-checkout", "set", "--cone", sparse_index, "in"]);
        assert!(!repo.path("out").exists());
        assert!(change_set(repo.root()).files.is_empty(), "{sparse_index}");
        repo.write("in/a.rs", "A\n");
        assert_eq!(check(repo.root()).same, 1);
        repo.write("in/new.rs", "a\n");
        check(repo.root());
        repo.remove("in/new.rs")
            .git(&["checkout", "--quiet", "in/a.rs"]);
    }
    repo.git(&["sparse-checkout", "disable"]);
    for setting in ["--split-index", "--untracked-cache", "--index-version=4"] {
        repo.git(&["update-index", setting]);
        repo.write("in/b.rs", "B\n").git(&["add", "in/b.rs"]);
        repo.write("in/a.rs", "A\n");
        assert_eq!(check(repo.root()).same, 2, "{setting}");
        repo.git(&["reset", "--quiet", "--hard"]);
    }
    repo.git(&["update-index", "--assume-unchanged", "in/a.rs"]);
    repo.write("in/a.rs", "A\n");
    check(repo.root());
    assert!(change_set(repo.root()).files.is_empty());
    // What is open in an editor is looked at all the same.
    let open = change_of_file(
        &repo.path("in/a.rs"),
        Some("A\n"),
        &ChangeOptions::default(),
    )
    .unwrap();
    changed(&open.outcome);
}

#[test]
#[cfg(target_os = "linux")]
fn paths_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    let repo = Repo::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.rs");
    std::fs::write(repo.root().join(name), "x\n").unwrap();
    let set = change_set(repo.root());
    assert_eq!(skipped(&set, "caf\u{fffd}.rs"), SkipReason::PathNotUtf8);
}

/// Runs another test again with variables that would send git elsewhere.
#[test]
fn the_environment_is_ignored() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "linked_worktree"])
        .envs(
            [
                "GIT_DIR",
                "GIT_WORK_TREE",
                "GIT_INDEX_FILE",
                "GIT_OBJECT_DIRECTORY",
                "GIT_COMMON_DIR",
                "GIT_NAMESPACE",
            ]
            .map(|name| (name, "/nonexistent")),
        )
        .envs([
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.bare"),
            ("GIT_CONFIG_VALUE_0", "true"),
            ("GIT_CEILING_DIRECTORIES", "/"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn other_bases_and_path_filters() {
    let repo = Repo::new();
    repo.write("a.rs", "1\n").write("dir/b.rs", "1\n").commit();
    repo.write("a.rs", "2\n").commit().git(&["tag", "v2"]);
    repo.write("dir/b.rs", "2\n").write("directory.rs", "x\n");
    let mut options = ChangeOptions {
        base: Base::Commit("HEAD~1".into()),
        ..ChangeOptions::default()
    };
    let names = |options: &ChangeOptions| -> Vec<String> {
        let set = ChangeSet::of(repo.root(), options).unwrap();
        set.files.into_iter().map(|file| file.path).collect()
    };
    assert_eq!(names(&options), ["a.rs", "dir/b.rs", "directory.rs"]);
    options.base = Base::Commit("v2".into());
    assert_eq!(names(&options), ["dir/b.rs", "directory.rs"]);
    options.paths = vec!["dir".into()];
    assert_eq!(names(&options), ["dir/b.rs"]);
    options.paths = vec![repo.root().to_owned()];
    assert_eq!(names(&options), ["dir/b.rs", "directory.rs"]);
    options.base = Base::Commit("no-such-branch".into());
    error(
        ChangeSet::of(repo.root(), &options),
        "unknown base \"no-such-branch\"",
    );
    options.base = Base::Commit("-x".into());
    error(ChangeSet::of(repo.root(), &options), "unknown base \"-x\"");
}

/// Histories that part, merge, and part again.
#[test]
fn the_merge_base_is_that_of_git() {
    let repo = Repo::new();
    let git = |arguments: &[&str]| drop(repo.git(arguments));
    repo.write("a.rs", "1\n").commit();
    git(&["checkout", "--quiet", "-b", "topic"]);
    repo.write("b.rs", "1\n")
        .commit()
        .write("b.rs", "2\n")
        .commit();
    git(&["checkout", "--quiet", "main"]);
    repo.write("a.rs", "2\n").commit();
    let check = |other: &str| {
        let options = ChangeOptions {
            base: Base::parse(&format!("merge-base:{other}")),
            ..ChangeOptions::default()
        };
        let set = ChangeSet::of(repo.root(), &options).unwrap();
        let expected = String::from_utf8(repo.git(&["merge-base", "HEAD", other])).unwrap();
        assert_eq!(set.base_commit.as_deref(), Some(expected.trim()), "{other}");
        set.files
            .into_iter()
            .map(|file| file.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(check("topic"), ["a.rs"]);
    assert_eq!(check("main"), [""; 0]);
    git(&["checkout", "--quiet", "topic"]);
    assert_eq!(check("main"), ["b.rs"]);
    git(&["merge", "--quiet", "--no-edit", "main"]);
    assert_eq!(check("main"), ["b.rs"]);
    git(&["checkout", "--quiet", "main"]);
    assert_eq!(check("topic"), [""; 0]);
    repo.write("c.rs", "1\n").commit();
    assert_eq!(check("topic~1"), ["a.rs", "c.rs"]);

    let options = |other: &str| ChangeOptions {
        base: Base::parse(&format!("merge-base:{other}")),
        ..ChangeOptions::default()
    };
    git(&["checkout", "--quiet", "--orphan", "lonely"]);
    let set = ChangeSet::of(repo.root(), &options("main")).unwrap();
    assert_eq!(
        set.base_commit, None,
        "before the first commit the base is empty"
    );
    repo.commit();
    error(
        ChangeSet::of(repo.root(), &options("main")),
        "unknown base \"merge-base:main\": HEAD and it have no common commit",
    );
    error(
        ChangeSet::of(repo.root(), &options("nothing")),
        "unknown base \"nothing\"",
    );
}

#[track_caller]
fn error<T: std::fmt::Debug>(result: Result<T, diffidence::change::ChangeError>, expect: &str) {
    let message = result.expect_err("an error").to_string();
    assert!(message.contains(expect), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// The configuration of a repository that is not trusted cannot point the work tree elsewhere.
#[test]
fn a_work_tree_elsewhere_is_not_read() {
    let repo = Repo::new();
    repo.write("a.rs", "a\n").commit();
    let outside = repo.beside("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret.rs"), "s\n").unwrap();
    repo.config("core.worktree", outside.to_str().unwrap());
    if let Ok(set) = ChangeSet::of(repo.root(), &ChangeOptions::default()) {
        assert_eq!((set.root.as_path(), set.files.len()), (repo.root(), 0));
    }
}

#[test]
fn other_repository_formats() {
    for format in ["--object-format=sha256", "--ref-format=reftable"] {
        let repo = Repo::with_init(&[format]);
        repo.write("a.rs", "a\n").commit();
        let result = ChangeSet::of(repo.root(), &ChangeOptions::default());
        error(result, "cannot");
    }
}

#[test]
fn bad_repositories() {
    let set = |path: &Path| ChangeSet::of(path, &ChangeOptions::default());
    let folder = tempfile::tempdir().unwrap();
    error(
        set(folder.path()),
        "not inside a git repository: run it in a work tree, or pass a diff",
    );
    error(
        set(&folder.path().join("no/such/file")),
        "not inside a git repository",
    );

    let repo = Repo::with_init(&["--bare"]);
    error(set(repo.root()), "bare repository: run it in a work tree");

    let repo = Repo::new();
    repo.write("a.rs", "a\n").commit();
    error(
        change_of_file(&repo.path(".git/config"), None, &ChangeOptions::default()),
        "not a file of the work tree",
    );
    let index = repo.read(".git/index");
    repo.write(".git/index", &index[..index.len() / 2]);
    error(set(repo.root()), "cannot read the index");
    repo.write(".git/index", b"");
    error(set(repo.root()), "cannot read the index");
    repo.write(".git/index", &index);
    let head = repo.read(".git/HEAD");
    repo.write(".git/HEAD", "0123456789012345678901234567890123456789\n");
    error(set(repo.root()), "cannot read HEAD");
    repo.write(".git/HEAD", "what\n");
    error(set(repo.root()), "");
    repo.write(".git/HEAD", &head);
    repo.write(".git/config", "[core\n");
    error(set(repo.root()), "cannot open the repository");
}
