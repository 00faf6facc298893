//! The change set: every path that differs from the base, and what that means for judging it.
//!
//! Invariant: one function makes the list, the hunks and the skip reasons, for a whole work tree
//! and for a single file alike, so no two outputs can disagree about what changed. A file that is
//! [`Outcome::Changed`] has at least one hunk. This module must not know how hunks are judged.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::bstr::{BString, ByteSlice};

use super::base::{Base, Resolved, Tracked};
use super::diff::{diff_texts, line_count};
use super::exclude::{self, SkipReason};
use super::patch::{FileChange, FileStatus, Patch};
use super::repo::{ChangeError, Content, Repo};
use super::status::{Candidate, Now, Scan, is_file};

/// What to compare and within which limits.
#[derive(Debug, Clone)]
pub struct ChangeOptions {
    /// What the change is measured against.
    pub base: Base,
    /// The new state is what is staged, not the work tree; buffers are not looked at then.
    pub staged: bool,
    /// Another index than the repository's own, absolute: git hands one to the hooks of
    /// `git commit --all` and `git commit FILE`. Looked at by [`ChangeSet::of`].
    pub index_file: Option<PathBuf>,
    /// Larger files are skipped, in bytes.
    pub max_file_bytes: u64,
    /// Longer files are skipped, in lines.
    pub max_file_lines: u32,
    /// Time for the line diff of one file; then the whole middle of the file is one change.
    pub diff_time_limit: Duration,
    /// Only these files and what is below these folders (absolute, or relative to the top of the
    /// work tree); everything if empty.
    pub paths: Vec<PathBuf>,
    /// Unsaved texts by absolute path. They win over the disk.
    pub buffers: HashMap<PathBuf, String>,
    /// Whether changed files come with both of their texts whole.
    pub keep_texts: bool,
    /// Whether files that nobody reads, such as lock files, are skipped for their name or their
    /// attributes.
    pub skip_by_name: bool,
}

impl Default for ChangeOptions {
    fn default() -> Self {
        ChangeOptions {
            base: Base::Head,
            staged: false,
            index_file: None,
            max_file_bytes: 1024 * 1024,
            max_file_lines: 50_000,
            diff_time_limit: Duration::from_secs(1),
            paths: Vec::new(),
            buffers: HashMap::new(),
            keep_texts: false,
            skip_by_name: true,
        }
    }
}

/// Everything that differs from the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// Top of the work tree, absolute.
    pub root: PathBuf,
    /// What the change is measured against.
    pub base: Base,
    /// The commit of the base in hexadecimal, if it is one.
    pub base_commit: Option<String>,
    /// The files, sorted by path.
    pub files: Vec<ChangedFile>,
}

/// One path of a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Relative to the top of the work tree, with forward slashes. Bytes that are not UTF-8 are
    /// shown as U+FFFD; such a file is skipped.
    pub path: String,
    /// The path in the base, if the file was renamed.
    pub old_path: Option<String>,
    /// What is to be done with it.
    pub outcome: Outcome,
}

/// What is to be done with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has changed lines.
    Changed {
        /// At least one hunk.
        change: FileChange,
        /// The blob in the base; none for an added file.
        base_blob: Option<BlobId>,
        /// Whether the last line of the base has no terminator.
        base_ends_open: bool,
        /// Lines of the new text; 0 for a deleted file.
        new_text_lines: u32,
        /// If [`ChangeOptions::keep_texts`] asks for them.
        texts: Option<Texts>,
    },
    /// No line changed.
    Unchanged {
        /// What is different then.
        why: UnchangedReason,
    },
    /// It is not judged.
    Skipped(SkipReason),
}

/// The two texts of a changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// In the base; `None` of an added file.
    pub old: Option<String>,
    /// Now; empty of a deleted file.
    pub new: String,
}

/// Why a listed file has no changed lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnchangedReason {
    /// It is as in the base: not changed at all, or changed and changed back.
    SameAsBase,
    /// Only line terminators differ (LF and CRLF).
    LineEndingsOnly,
    /// Only the permission to run it differs.
    ModeOnly,
    /// It has another path and the same text.
    RenamedOnly,
    /// An empty file was added or deleted.
    EmptyFile,
}

impl std::fmt::Display for UnchangedReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            UnchangedReason::SameAsBase => "the same as in the base",
            UnchangedReason::LineEndingsOnly => "only line endings differ",
            UnchangedReason::ModeOnly => "only the mode differs",
            UnchangedReason::RenamedOnly => "renamed without a change",
            UnchangedReason::EmptyFile => "empty file",
        })
    }
}

/// The id of a blob in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlobId(String);

impl BlobId {
    /// As git prints it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ChangeSet {
    /// Everything that differs from the base in the work tree that `path` is in.
    ///
    /// # Errors
    /// See [`ChangeError`]. A single file that cannot be read is no error but skipped.
    pub fn of(path: &Path, options: &ChangeOptions) -> Result<ChangeSet, ChangeError> {
        let repo = Repo::discover_with(path, options.index_file.as_deref())?;
        let base = Resolved::of(&repo, &options.base)?;
        let mut scan = Scan::new(&repo, &base, options.staged, options.max_file_bytes)?;
        if !options.staged {
            for (path, text) in &options.buffers {
                // A buffer of another repository is none of our business.
                if let Ok(path) = repo.relative(path) {
                    scan.buffers.insert(path, text);
                }
            }
        }
        let wanted = options
            .paths
            .iter()
            .map(|path| match repo.root.join(path).canonicalize() {
                Ok(top) if top == repo.root => Ok(BString::default()),
                _ => repo.relative(path),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let is_wanted = |path: &BString| {
            wanted.is_empty() || wanted.iter().any(|wanted| is_at_or_below(path, wanted))
        };
        let mut files = Vec::new();
        for candidate in scan.all()? {
            // A buffer is listed only if it differs: git does not know it.
            let speculative = candidate.now == Now::Buffer;
            if !is_wanted(&candidate.path) {
                continue;
            }
            let file = judge(&scan, &candidate, options)?;
            let same = Outcome::Unchanged {
                why: UnchangedReason::SameAsBase,
            };
            if !(speculative && file.outcome == same) {
                files.push(file);
            }
        }
        Ok(ChangeSet {
            root: repo.root,
            base: options.base.clone(),
            base_commit: base.commit,
            files,
        })
    }

    /// What a commit, named as git names it, changes since its history and that of HEAD parted. The
    /// work tree does not matter.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn of_commit(
        path: &Path,
        name: &str,
        options: &ChangeOptions,
    ) -> Result<ChangeSet, ChangeError> {
        let repo = Repo::discover(path)?;
        let parted = Base::MergeBase(name.to_owned());
        let base = Resolved::of(&repo, &parted)?;
        let commit = Resolved::of(&repo, &Base::Commit(name.to_owned()))?;
        let scan = Scan::new(&repo, &base, true, options.max_file_bytes)?;
        let candidates = scan.between(&commit)?;
        let files = candidates
            .iter()
            .map(|candidate| judge(&scan, candidate, options));
        let files = files.collect::<Result<_, _>>()?;
        Ok(ChangeSet {
            root: repo.root,
            base: parted,
            base_commit: base.commit,
            files,
        })
    }

    /// What the change is measured against, for a reader: `HEAD (1a2b3c4)`.
    #[must_use]
    pub fn base_description(&self) -> String {
        let name = &self.base;
        match &self.base_commit {
            None if *name == Base::Index => name.to_string(),
            None => format!("{name} (no commit yet)"),
            Some(commit) => format!("{name} ({})", commit.get(..7).unwrap_or(commit)),
        }
    }

    /// The changed files as a patch, sorted by path.
    #[must_use]
    pub fn patch(&self) -> Patch {
        let changes = self.files.iter().filter_map(|file| match &file.outcome {
            Outcome::Changed { change, .. } => Some(change.clone()),
            _ => None,
        });
        Patch {
            files: changes.collect(),
        }
    }
}

/// What changed in one file, without listing the others. `buffer` is the unsaved text, which wins
/// over the disk and over `options.buffers`. In repositories with more than 20,000 files a renamed
/// file is taken for a new one.
///
/// # Errors
/// See [`ChangeError`]; a path outside of every work tree is one.
pub fn change_of_file(
    path: &Path,
    buffer: Option<&str>,
    options: &ChangeOptions,
) -> Result<ChangedFile, ChangeError> {
    let repo = Repo::discover(path.parent().unwrap_or(path))?;
    let base = Resolved::of(&repo, &options.base)?;
    let mut scan = Scan::new(&repo, &base, options.staged, options.max_file_bytes)?;
    let relative = repo.relative(path)?;
    if let Some(text) = buffer.or(options.buffers.get(path).map(String::as_str))
        && !options.staged
    {
        scan.buffers.insert(relative.clone(), text);
    }
    let file = |outcome| ChangedFile {
        path: relative.to_str_lossy().into_owned(),
        old_path: None,
        outcome,
    };
    let untracked = repo.index.entry_range(relative.as_bstr()).is_none()
        && base.at(&repo, relative.as_bstr())?.is_none();
    if untracked && !options.staged && scan.is_ignored(relative.as_bstr())? {
        return Ok(file(Outcome::Skipped(SkipReason::Ignored)));
    }
    match scan.one(relative.as_bstr())? {
        Some(candidate) => judge(&scan, &candidate, options),
        None => Ok(file(Outcome::Unchanged {
            why: UnchangedReason::SameAsBase,
        })),
    }
}

/// The text that a file has in a commit; `None` if it is not there or is no text.
///
/// # Errors
/// See [`ChangeError`].
pub fn text_in_commit(
    folder: &Path,
    commit: &str,
    path: &str,
    options: &ChangeOptions,
) -> Result<Option<String>, ChangeError> {
    let repo = Repo::discover(folder)?;
    let commit = Resolved::of(&repo, &Base::Commit(commit.to_owned()))?;
    let Some(entry) = commit.at(&repo, path.into())? else {
        return Ok(None);
    };
    let content = match is_file(entry.mode) {
        true => repo.blob(entry.id, options.max_file_bytes)?,
        false => return Ok(None),
    };
    Ok(match content {
        Content::Data(data) => exclude::text(data, options.max_file_lines).ok(),
        Content::TooLarge(_) | Content::Unreadable(_) => None,
    })
}

fn is_at_or_below(path: &BString, folder: &BString) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn judge(
    scan: &Scan<'_>,
    candidate: &Candidate,
    options: &ChangeOptions,
) -> Result<ChangedFile, ChangeError> {
    let outcome = match sides(scan, candidate, options)? {
        Ok(sides) => compare(candidate, sides, options),
        Err(outcome) => outcome,
    };
    let lossy = |path: &BString| path.to_str_lossy().into_owned();
    Ok(ChangedFile {
        path: lossy(&candidate.path),
        old_path: candidate.old_path.as_ref().map(lossy),
        outcome,
    })
}

/// The two texts of a file.
struct Sides {
    old: String,
    new: String,
}

fn sides(
    scan: &Scan<'_>,
    candidate: &Candidate,
    options: &ChangeOptions,
) -> Result<Result<Sides, Outcome>, ChangeError> {
    let skip = |reason| Ok(Err(Outcome::Skipped(reason)));
    let unchanged = |why| Ok(Err(Outcome::Unchanged { why }));
    if let Some(reason) = by_kind(candidate) {
        return skip(reason);
    }
    let Ok(path) = candidate.path.to_str() else {
        return skip(SkipReason::PathNotUtf8);
    };
    if candidate
        .old_path
        .as_ref()
        .is_some_and(|path| path.to_str().is_err())
    {
        return skip(SkipReason::PathNotUtf8);
    }
    if let (Some(base), Now::Stored(now)) = (candidate.base, candidate.now)
        && base.id == now.id
    {
        return unchanged(same_content(candidate, base));
    }
    let attributes = scan.repo.attributes(candidate.path.as_bstr())?;
    if let Some(reason) = exclude::by_name(path, &attributes).filter(|_| options.skip_by_name) {
        return skip(reason);
    }
    let old = match candidate.base {
        Some(base) => scan.repo.blob(base.id, options.max_file_bytes)?,
        None => Content::Data(Vec::new()),
    };
    let (old, new) = match (old, scan.content(candidate)?) {
        (Content::Data(old), Content::Data(new)) => (old, new),
        (Content::Unreadable(why), _) | (_, Content::Unreadable(why)) => {
            return skip(SkipReason::Unreadable { why });
        }
        (Content::TooLarge(bytes), _) | (_, Content::TooLarge(bytes)) => {
            return skip(SkipReason::TooLarge {
                bytes,
                limit: options.max_file_bytes,
            });
        }
    };
    if let Some(base) = candidate.base
        && candidate.now != Now::Absent
        && old == new
    {
        return unchanged(same_content(candidate, base));
    }
    let texts = (
        exclude::text(old, options.max_file_lines),
        exclude::text(new, options.max_file_lines),
    );
    match (texts, attributes.filter) {
        ((Err(SkipReason::LfsPointer), _) | (_, Err(SkipReason::LfsPointer)), _) => {
            skip(SkipReason::LfsPointer)
        }
        // Stored and checked out forms differ, and only the program knows how.
        (_, Some(name)) => skip(SkipReason::FilterDriver { name }),
        ((Err(reason), _) | (_, Err(reason)), None) => skip(reason),
        ((Ok(old), Ok(new)), None) => Ok(Ok(Sides { old, new })),
    }
}

/// The reason to skip a path that is no plain file on both sides.
fn by_kind(candidate: &Candidate) -> Option<SkipReason> {
    if candidate.conflict {
        return Some(SkipReason::Conflict);
    }
    let stored = match candidate.now {
        Now::Stored(tracked) => Some(tracked),
        Now::Submodule => return Some(SkipReason::Submodule),
        Now::NestedRepository => return Some(SkipReason::NestedRepository),
        Now::Symlink => return Some(SkipReason::Symlink),
        Now::Absent | Now::File { .. } | Now::Buffer => None,
    };
    let special = candidate
        .base
        .into_iter()
        .chain(stored)
        .find(|entry| !is_file(entry.mode))?;
    Some(if special.mode.is_submodule() {
        SkipReason::Submodule
    } else {
        SkipReason::Symlink
    })
}

fn same_content(candidate: &Candidate, base: Tracked) -> UnchangedReason {
    use gix::index::entry::Mode;
    let was_executable = base.mode == Mode::FILE_EXECUTABLE;
    let is_executable = match candidate.now {
        Now::File { executable } => executable,
        Now::Stored(now) => now.mode == Mode::FILE_EXECUTABLE,
        _ => was_executable,
    };
    if candidate.old_path.is_some() {
        UnchangedReason::RenamedOnly
    } else if was_executable != is_executable {
        UnchangedReason::ModeOnly
    } else {
        UnchangedReason::SameAsBase
    }
}

fn compare(candidate: &Candidate, sides: Sides, options: &ChangeOptions) -> Outcome {
    const BOM: char = '\u{feff}';
    // Editors take a byte order mark out of the text and put it back when they save.
    let old = match sides.old.strip_prefix(BOM) {
        Some(rest) if candidate.now == Now::Buffer && !sides.new.starts_with(BOM) => rest,
        _ => &sides.old,
    };
    let diff = diff_texts(old, &sides.new, options.diff_time_limit);
    let is_deleted = candidate.now == Now::Absent;
    if diff.hunks.is_empty() {
        let why = match candidate.base {
            None => UnchangedReason::EmptyFile,
            Some(_) if is_deleted => UnchangedReason::EmptyFile,
            Some(_) if candidate.old_path.is_some() => UnchangedReason::RenamedOnly,
            Some(_) if old == sides.new => UnchangedReason::SameAsBase,
            Some(_) => UnchangedReason::LineEndingsOnly,
        };
        return Outcome::Unchanged { why };
    }
    let path = candidate.path.to_str_lossy().into_owned();
    let (old_path, new_path, status) = match (candidate.base, &candidate.old_path) {
        (None, _) => (None, Some(path), FileStatus::Added),
        (Some(_), _) if is_deleted => (Some(path), None, FileStatus::Deleted),
        (Some(_), None) => (Some(path.clone()), Some(path), FileStatus::Modified),
        (Some(_), Some(old)) => (
            Some(old.to_str_lossy().into_owned()),
            Some(path),
            FileStatus::Renamed,
        ),
    };
    Outcome::Changed {
        change: FileChange {
            old_path,
            new_path,
            status,
            hunks: diff.hunks,
        },
        base_blob: candidate.base.map(|base| BlobId(base.id.to_string())),
        base_ends_open: !old.is_empty() && !old.ends_with('\n'),
        new_text_lines: line_count(&sides.new),
        texts: options.keep_texts.then_some(Texts {
            old: candidate.base.is_some().then_some(sides.old),
            new: sides.new,
        }),
    }
}
