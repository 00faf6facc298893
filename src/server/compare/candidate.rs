//! Where a candidate comes from, and what it changes.

use super::{Ground, LeftOut, base_of};
use crate::change::{
    ChangeError, ChangeOptions, ChangeSet, ChangedFile, FileChange, FileStatus, Outcome, Patch,
    UnchangedReason, text_in_commit,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tower_lsp::lsp_types::Url;

/// A diff larger than this is not a change that anybody reads.
const MAX_DIFF_BYTES: u64 = 64 << 20;

/// What tells that a diff changes more than lines of text.
const BINARY: [&[u8]; 2] = [b"GIT binary patch", b"Binary files "];

/// What a candidate is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(in crate::server) enum Source {
    /// A unified diff in a file: a path, from the top of the work tree if it is relative, or a URI.
    Patch { path: String },
    /// What a branch, or any revision, changes since it and HEAD parted.
    Branch { name: String },
    /// What is in a work tree, committed or not, and was not in HEAD's history when they parted: a
    /// folder as a path or a URI.
    Worktree { path: String },
}

/// A candidate that was read.
#[derive(Debug, Clone)]
pub(in crate::server) struct Seen {
    pub(in crate::server) source: Source,
    /// Names it.
    pub(in crate::server) id: String,
    /// The commit that it is a change of; none before the first one.
    pub(in crate::server) base: Option<String>,
    /// Files with hunks, and those that are only renamed, added or deleted.
    pub(in crate::server) patch: Patch,
    /// What else it changes.
    pub(in crate::server) left_out: Vec<LeftOut>,
}

impl Source {
    /// Names the candidate as its user does.
    pub(in crate::server) fn id(&self) -> String {
        match self {
            Self::Branch { name } => name.clone(),
            Self::Patch { path } | Self::Worktree { path } => local(path).display().to_string(),
        }
    }

    /// Reads what the candidate changes; `skip_by_name` leaves out what no score counts.
    pub(super) fn read(&self, ground: &Ground, skip_by_name: bool) -> Result<Seen, String> {
        let options = ChangeOptions {
            skip_by_name,
            ..ground.options()
        };
        match self {
            Self::Patch { path } => self.of_patch(ground, &ground.root.join(local(path))),
            Self::Branch { name } => {
                let set = ChangeSet::of_commit(&ground.root, name, &options);
                let set = set.map_err(|error| error.to_string())?;
                self.of_changes(set, &ground.root, &options)
            }
            Self::Worktree { path } => {
                let folder = ground.root.join(local(path));
                if !folder.is_dir() {
                    return Err(format!("there is no folder {}", folder.display()));
                }
                let options = ChangeOptions {
                    base: base_of(ground.head.as_deref()),
                    buffers: ground.buffers.clone(),
                    ..options
                };
                let set = ChangeSet::of(&folder, &options).map_err(|error| match error {
                    ChangeError::UnknownBase { .. } => {
                        format!("{} has no commit in common with HEAD", folder.display())
                    }
                    error => error.to_string(),
                })?;
                let root = set.root.clone();
                self.of_changes(set, &root, &options)
            }
        }
    }

    fn of_patch(&self, ground: &Ground, file: &Path) -> Result<Seen, String> {
        let cannot_read =
            |error: std::io::Error| format!("cannot read {}: {error}", file.display());
        let found = std::fs::metadata(file).map_err(cannot_read)?;
        if !found.is_file() {
            return Err(format!("{} is not a file", file.display()));
        }
        if found.len() > MAX_DIFF_BYTES {
            return Err(format!(
                "{} is larger than {} MiB",
                file.display(),
                MAX_DIFF_BYTES >> 20
            ));
        }
        let text = std::fs::read(file).map_err(cannot_read)?;
        let patch = Patch::from_typed_unified(&text).map_err(|error| error.to_string())?;
        let mut lines = text.split(|byte| *byte == b'\n');
        let is_binary = lines.any(|line| BINARY.iter().any(|start| line.starts_with(start)));
        let left_out = is_binary.then(|| LeftOut {
            path: self.id(),
            reason: "it changes binary files, too".into(),
        });
        Ok(Seen {
            source: self.clone(),
            id: self.id(),
            base: ground.head.clone(),
            patch,
            left_out: left_out.into_iter().collect(),
        })
    }

    fn of_changes(
        &self,
        set: ChangeSet,
        root: &Path,
        options: &ChangeOptions,
    ) -> Result<Seen, String> {
        let base = set.base_commit;
        let (mut files, mut left_out) = (Vec::new(), Vec::new());
        for file in set.files {
            let was_there = || match &base {
                None => Ok(false),
                Some(commit) => text_in_commit(root, commit, &file.path, options)
                    .map(|text| text.is_some())
                    .map_err(|error| error.to_string()),
            };
            let reason = match &file.outcome {
                Outcome::Changed { change, .. } => {
                    files.push(change.clone());
                    continue;
                }
                Outcome::Unchanged { why } => match why {
                    UnchangedReason::SameAsBase => continue,
                    UnchangedReason::RenamedOnly => {
                        files.push(without_hunks(&file, FileStatus::Renamed));
                        continue;
                    }
                    UnchangedReason::EmptyFile => {
                        let gone = was_there()?;
                        let status = if gone {
                            FileStatus::Deleted
                        } else {
                            FileStatus::Added
                        };
                        files.push(without_hunks(&file, status));
                        continue;
                    }
                    UnchangedReason::LineEndingsOnly | UnchangedReason::ModeOnly => why.to_string(),
                },
                Outcome::Skipped(reason) => reason.to_string(),
            };
            left_out.push(LeftOut {
                path: file.path,
                reason,
            });
        }
        if files.is_empty() && left_out.is_empty() {
            let base = base
                .as_deref()
                .map_or("its base", |commit| &commit[..7.min(commit.len())]);
            return Err(format!("it changes nothing since {base}"));
        }
        Ok(Seen {
            source: self.clone(),
            id: self.id(),
            base,
            patch: Patch { files },
            left_out,
        })
    }
}

impl Seen {
    /// The files that no score counts.
    pub(super) fn not_scored(&self) -> Vec<LeftOut> {
        let files = self.patch.files.iter();
        let without_lines = files.filter(|file| file.hunks.is_empty());
        let without_lines = without_lines.map(|file| LeftOut {
            path: file.path().to_owned(),
            reason: format!("{}, no changed lines of text", file.status),
        });
        without_lines.chain(self.left_out.clone()).collect()
    }

    /// Known again by it: what it changes, whatever it is called.
    pub(super) fn digest(&self) -> String {
        let hash = Sha256::digest(self.patch.to_unified());
        hash.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Ground {
    /// How candidates are read here.
    pub(super) fn options(&self) -> ChangeOptions {
        ChangeOptions {
            max_file_bytes: self.config.max_file_bytes,
            ..ChangeOptions::default()
        }
    }
}

fn without_hunks(file: &ChangedFile, status: FileStatus) -> FileChange {
    let path = Some(file.path.clone());
    let (old_path, new_path) = match status {
        FileStatus::Added => (None, path),
        FileStatus::Deleted => (path, None),
        _ => (file.old_path.clone().or(path.clone()), path),
    };
    FileChange {
        old_path,
        new_path,
        status,
        hunks: Vec::new(),
    }
}

/// A path that may be written as a URI.
fn local(path: &str) -> PathBuf {
    let uri = path.starts_with("file:").then(|| Url::parse(path).ok());
    uri.flatten()
        .and_then(|uri| uri.to_file_path().ok())
        .unwrap_or_else(|| path.into())
}
