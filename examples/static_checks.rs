//! Runs the static checks over folders of code that is known to be fine, to see what they get
//! wrong: `cargo run --release --example static_checks -- DIR…`.
//!
//! Each file counts as if it had been typed into an empty one, which is more than any change does:
//! every finding is printed, and all but debug statements are mistakes of the checks or of the
//! code. Where a folder holds several versions of a package (`name-1.2.3`), the change of each file
//! from one version to the next is checked too.

use diffidence::change::diff::diff_texts;
use diffidence::change::{FileChange, FileStatus};
use diffidence::syntax::{Checker, Code};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Tally {
    files: usize,
    lines: usize,
    seconds: f64,
    slowest: f64,
    found: BTreeMap<Code, usize>,
    pairs: usize,
    found_in_pairs: BTreeMap<Code, usize>,
}

fn main() -> anyhow::Result<()> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    for root in std::env::args_os().skip(1).map(PathBuf::from) {
        let mut files = Vec::new();
        walk(&root, &mut files);
        for path in &files {
            whole(path, &mut tallies, &mut out)?;
        }
        for (old, new) in versions(&root) {
            let mut files = Vec::new();
            walk(&new, &mut files);
            for path in files {
                let before = old.join(path.strip_prefix(&new)?);
                pair(&before, &path, &mut tallies, &mut out)?;
            }
        }
    }
    for (ending, tally) in tallies {
        writeln!(
            out,
            "{ending}: {} files, {} lines, {:.2} ms a thousand lines, slowest {:.0} ms; {:?}; \
             {} changed from version to version; {:?}",
            tally.files,
            tally.lines,
            tally.seconds * 1e6 / tally.lines.max(1) as f64,
            tally.slowest * 1e3,
            tally.found,
            tally.pairs,
            tally.found_in_pairs,
        )?;
    }
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if ending(&path).is_some() {
            files.push(path);
        }
    }
}

fn ending(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let known = [
        "py", "pyi", "rs", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "java", "go",
        "rb", "php", "cs", "kt", "kts",
    ];
    let ending = path.extension()?.to_str()?;
    let minified = name.contains(".min.");
    (known.contains(&ending) && !minified).then(|| ending.to_owned())
}

fn whole(
    path: &Path,
    tallies: &mut BTreeMap<String, Tally>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(());
    };
    let tally = tallies.entry(ending(path).unwrap_or_default()).or_default();
    let (change, seconds, flaws) = check(path, "", &text);
    tally.files += 1;
    tally.lines += change;
    tally.seconds += seconds;
    tally.slowest = tally.slowest.max(seconds);
    for flaw in flaws {
        *tally.found.entry(flaw.code).or_default() += 1;
        let (line, code, message) = (flaw.line, flaw.code, flaw.message);
        writeln!(out, "{}:{line}: {code}: {message}", path.display())?;
    }
    Ok(())
}

fn pair(
    before: &Path,
    after: &Path,
    tallies: &mut BTreeMap<String, Tally>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let read = std::fs::read_to_string;
    let (Ok(old), Ok(new)) = (read(before), read(after)) else {
        return Ok(());
    };
    if old == new {
        return Ok(());
    }
    let tally = tallies
        .entry(ending(after).unwrap_or_default())
        .or_default();
    tally.pairs += 1;
    for flaw in check(after, &old, &new).2 {
        *tally.found_in_pairs.entry(flaw.code).or_default() += 1;
        let (line, code, message) = (flaw.line, flaw.code, flaw.message);
        writeln!(out, "CHANGE {}:{line}: {code}: {message}", after.display())?;
    }
    Ok(())
}

/// Lines of the new text, seconds, and what was found.
fn check(path: &Path, old: &str, new: &str) -> (usize, f64, Vec<diffidence::syntax::Flaw>) {
    let path = path.to_string_lossy().into_owned();
    let diff = diff_texts(old, new, Duration::from_secs(2));
    let change = FileChange {
        old_path: Some(path.clone()),
        new_path: Some(path),
        status: FileStatus::Modified,
        hunks: diff.hunks,
    };
    // Nothing is passed over for want of time.
    let checker = Checker::with_time_limit(Duration::from_secs(600));
    let begun = Instant::now();
    let flaws = checker.check(&change, Some(old), new);
    (
        diff.new_lines as usize,
        begun.elapsed().as_secs_f64(),
        flaws,
    )
}

/// Pairs of folders of one package, each with the version before it in the order of names.
fn versions(root: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut packages: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    for path in entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
    {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_version =
            |(at, _): &(usize, &str)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        if let Some((at, _)) = name.match_indices('-').find(is_version) {
            packages
                .entry(name[..at].to_owned())
                .or_default()
                .push(path);
        }
    }
    let pairs = packages.into_values().flat_map(|mut folders| {
        folders.sort();
        let pairs = folders
            .windows(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()));
        pairs.collect::<Vec<_>>()
    });
    pairs.collect()
}
