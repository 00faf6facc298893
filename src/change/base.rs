//! What a change is measured against: the base and its blobs.
//!
//! Invariant: before the first commit the base is empty, not an error. This module must not know
//! about the work tree.

use std::fmt;

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
    /// Where the history of HEAD and that of a commit part, as `git merge-base` finds it: what a
    /// branch changes, whatever happened on the other one since.
    MergeBase(String),
    /// What is staged, so that only unstaged changes count.
    Index,
}

impl Base {
    /// The base that a setting names: `head`, `index`, `merge-base:` and a revision, or a revision
    /// as `git rev-parse` understands it.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "head" | "HEAD" => Self::Head,
            "index" => Self::Index,
            name => match name.strip_prefix("merge-base:") {
                Some(revision) => Self::MergeBase(revision.into()),
                None => Self::Commit(name.into()),
            },
        }
    }

    /// The revision that the base is found by, where it is not HEAD or the index.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Head | Self::Index => None,
            Self::Commit(revision) | Self::MergeBase(revision) => Some(revision),
        }
    }
}

/// For a reader, after "against".
impl fmt::Display for Base {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => out.write_str("HEAD"),
            Self::Index => out.write_str("the index"),
            Self::Commit(name) => out.write_str(name),
            Self::MergeBase(name) => write!(out, "the merge base with {name}"),
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
            Base::Commit(name) => Self::of_commit(&commit(repo, name)?),
            Base::MergeBase(name) => Self::merge_base(repo, name),
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
        Self::of_commit(&head.peel_to_commit().map_err(head_error)?)
    }

    fn merge_base(repo: &Repo, name: &str) -> Result<Self, ChangeError> {
        let other = commit(repo, name)?;
        let head = Self::head(repo)?;
        // Before the first commit.
        let Some(id) = head
            .commit
            .as_ref()
            .and_then(|id| id.parse::<ObjectId>().ok())
        else {
            return Ok(head);
        };
        let unknown = |why: OneLine| ChangeError::UnknownBase {
            name: format!("merge-base:{name}"),
            why,
        };
        let parted = repo
            .git
            .merge_base(id, other.id)
            .map_err(|error| unknown(OneLine::of(&error)))?
            .ok_or_else(|| unknown(OneLine::text("HEAD and it have no common commit")))?;
        let commit = repo
            .git
            .find_commit(parted.detach())
            .map_err(|error| unknown(OneLine::of(&error)))?;
        Self::of_commit(&commit)
    }

    fn of_commit(commit: &gix::Commit<'_>) -> Result<Self, ChangeError> {
        let tree = commit.tree_id().map_err(|error| ChangeError::Object {
            why: OneLine::of(&error),
        })?;
        Ok(Resolved {
            commit: Some(commit.id.to_string()),
            entries: Entries::Tree(tree.detach()),
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

fn commit<'repo>(repo: &'repo Repo, name: &str) -> Result<gix::Commit<'repo>, ChangeError> {
    repo.git
        .rev_parse_single(name)
        .and_then(|id| id.object())
        .and_then(gix::Object::peel_to_commit)
        .map_err(|error| ChangeError::UnknownBase {
            name: name.to_owned(),
            why: OneLine::of(&error),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, base: Base, shown: &str) {
        assert_eq!(Base::parse(name), base);
        assert_eq!(base.to_string(), shown);
    }

    #[test]
    fn a_base_is_named_as_git_names_it_or_by_what_it_is() {
        check("head", Base::Head, "HEAD");
        check("HEAD", Base::Head, "HEAD");
        check("index", Base::Index, "the index");
        check("main", Base::Commit("main".into()), "main");
        check(
            "merge-base:origin/main",
            Base::MergeBase("origin/main".into()),
            "the merge base with origin/main",
        );
        check(
            "merge-base",
            Base::Commit("merge-base".into()),
            "merge-base",
        );
    }
}
