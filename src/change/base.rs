//! What a change is measured against: the base and its blobs.
//!
//! Invariant: before the first commit the base is empty, not an error. This module must not know
//! about the work tree.

use gix::ObjectId;
use gix::bstr::{BStr, BString};
use gix::index::entry::{Flags, Mode, Stage};

use super::repo::{ChangeError, OneLine, Repo};

/// What the change is measured against.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Base {
    /// The last commit; empty before the first one.
    #[default]
    Head,
    /// A commit named as `git rev-parse` understands it: a branch, a tag, `HEAD~2`, an id.
    Commit(String),
    /// What is staged, so that only unstaged changes count.
    Index,
}

impl Base {
    /// The base that a setting names: `head`, `index`, or what `git rev-parse` understands.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "head" => Self::Head,
            "index" => Self::Index,
            revision => Self::Commit(revision.into()),
        }
    }

    /// The revision that the base is found by, where it is not HEAD or the index.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Head | Self::Index => None,
            Self::Commit(revision) => Some(revision),
        }
    }
}

/// An entry of a tree or of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) id: ObjectId,
    pub(super) mode: Mode,
}

/// A base that was found in the repository.
pub(super) struct Resolved {
    /// The commit in hexadecimal; none before the first commit and for the index.
    pub(super) commit: Option<String>,
    entries: Entries,
}

enum Entries {
    Tree(ObjectId),
    Index,
    None,
}

impl Resolved {
    pub(super) fn of(repo: &Repo, base: &Base) -> Result<Self, ChangeError> {
        match base {
            Base::Index => Ok(Resolved {
                commit: None,
                entries: Entries::Index,
            }),
            Base::Head => Self::head(repo),
            Base::Commit(name) => Self::commit(repo, name),
        }
    }

    fn head(repo: &Repo) -> Result<Self, ChangeError> {
        let head_error = |error: gix::Error| ChangeError::Head {
            why: OneLine::of(&error),
        };
        let mut head = repo.git.head().map_err(head_error)?;
        if head.is_unborn() {
            return Ok(Resolved {
                commit: None,
                entries: Entries::None,
            });
        }
        let commit = head.peel_to_commit().map_err(head_error)?;
        let tree = commit.tree_id().map_err(head_error)?.detach();
        Ok(Resolved {
            commit: Some(commit.id.to_string()),
            entries: Entries::Tree(tree),
        })
    }

    fn commit(repo: &Repo, name: &str) -> Result<Self, ChangeError> {
        let unknown = |error: gix::Error| ChangeError::UnknownBase {
            name: name.to_owned(),
            why: OneLine::of(&error),
        };
        let object = repo
            .git
            .rev_parse_single(name)
            .and_then(|id| id.object())
            .map_err(unknown)?;
        let commit = object.peel_to_commit().map_err(unknown)?;
        let tree = commit.tree_id().map_err(unknown)?.detach();
        Ok(Resolved {
            commit: Some(commit.id.to_string()),
            entries: Entries::Tree(tree),
        })
    }

    /// The entry at a path, without looking at others.
    pub(super) fn at(&self, repo: &Repo, path: &BStr) -> Result<Option<Tracked>, ChangeError> {
        match self.entries {
            Entries::None => Ok(None),
            Entries::Index => Ok(staged(repo, path)),
            Entries::Tree(tree) => {
                let object_error = |error: gix::Error| ChangeError::Object {
                    why: OneLine::of(&error),
                };
                let tree = repo.git.find_tree(tree).map_err(object_error)?;
                let entry = tree
                    .lookup_entry(gix::bstr::ByteSlice::split_str(&**path, "/"))
                    .map_err(object_error)?;
                Ok(entry
                    .filter(|entry| !entry.mode().is_tree())
                    .map(|entry| Tracked {
                        id: entry.object_id(),
                        mode: entry.mode().kind().into(),
                    }))
            }
        }
    }

    /// All entries, sorted by path.
    pub(super) fn all(&self, repo: &Repo) -> Result<Vec<(BString, Tracked)>, ChangeError> {
        let tree = match self.entries {
            Entries::None => return Ok(Vec::new()),
            Entries::Index => return Ok(entries_of(&repo.index)),
            Entries::Tree(tree) => tree,
        };
        // Right after a commit the index says itself that it is that commit's tree.
        let index_is_tree = !repo.index.is_sparse()
            && repo
                .index
                .tree()
                .is_some_and(|root| root.id == tree && root.num_entries.is_some());
        if index_is_tree {
            return Ok(entries_of(&repo.index));
        }
        let state = repo
            .git
            .index_from_tree(&tree)
            .map_err(|error| ChangeError::Object {
                why: OneLine::of(&error),
            })?;
        Ok(entries_of(&state))
    }
}

/// The staged entry at a path; none if it is in conflict or only intended to be added.
pub(super) fn staged(repo: &Repo, path: &BStr) -> Option<Tracked> {
    let entry = repo
        .index
        .entry_by_path_and_stage(path, Stage::Unconflicted)?;
    let intended = entry.flags.contains(Flags::INTENT_TO_ADD);
    (!intended).then_some(Tracked {
        id: entry.id,
        mode: entry.mode,
    })
}

fn entries_of(state: &gix::index::State) -> Vec<(BString, Tracked)> {
    state
        .entries()
        .iter()
        .filter(|entry| {
            entry.stage() == Stage::Unconflicted && !entry.flags.contains(Flags::INTENT_TO_ADD)
        })
        .map(|entry| {
            let tracked = Tracked {
                id: entry.id,
                mode: entry.mode,
            };
            (entry.path(state).to_owned(), tracked)
        })
        .collect()
}
