//! Where else in a repository there may be work: its other branches and work trees.
//!
//! Invariant: only names and places are read; whether anything differs there is the change set's
//! word.

use std::path::{Path, PathBuf};

use super::base::{Base, Resolved};
use super::repo::{ChangeError, OneLine, Repo};

/// Branches and work trees besides those that are in use here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherWork {
    /// Local branches, then those of remotes as `origin/name`, each sorted by name.
    pub branches: Vec<String>,
    /// Tops of the other work trees that exist, without symbolic links, sorted.
    pub worktrees: Vec<PathBuf>,
}

/// The commit that HEAD is at, in hexadecimal; none before the first one.
///
/// # Errors
/// See [`ChangeError`].
pub fn head_commit(folder: &Path) -> Result<Option<String>, ChangeError> {
    let repo = Repo::discover(folder)?;
    Ok(Resolved::of(&repo, &Base::Head)?.commit)
}

/// Lists the other branches and work trees of the repository that `folder` is in.
///
/// # Errors
/// See [`ChangeError`].
pub fn other_work(folder: &Path) -> Result<OtherWork, ChangeError> {
    let repo = Repo::discover(folder)?;
    let open_error = |error: gix::Error| ChangeError::Open {
        path: repo.root.clone(),
        why: OneLine::of(&error),
    };
    Ok(OtherWork {
        branches: branches(&repo).map_err(open_error)?,
        worktrees: worktrees(&repo).map_err(open_error)?,
    })
}

fn branches(repo: &Repo) -> Result<Vec<String>, gix::Error> {
    let here = repo.git.head_name()?;
    let references = repo.git.references()?;
    let mut local = Vec::new();
    for branch in references.local_branches()?.flatten() {
        if here.as_ref().map(|name| name.as_ref()) != Some(branch.name()) {
            local.push(branch.name().shorten().to_string());
        }
    }
    let mut remote = Vec::new();
    for branch in references.remote_branches()?.flatten() {
        // `origin/HEAD` only says which of the others is the main one.
        let is_symbolic = branch.target().try_name().is_some();
        if !is_symbolic {
            remote.push(branch.name().shorten().to_string());
        }
    }
    local.sort();
    remote.sort();
    local.append(&mut remote);
    Ok(local)
}

fn worktrees(repo: &Repo) -> Result<Vec<PathBuf>, gix::Error> {
    let mut places = Vec::new();
    let main = repo.git.main_repo()?;
    places.extend(main.workdir().map(Path::to_owned));
    for proxy in repo.git.worktrees()? {
        places.push(proxy.base()?);
    }
    let real = places.iter().filter_map(|place| place.canonicalize().ok());
    let mut others: Vec<PathBuf> = real.filter(|place| *place != repo.root).collect();
    others.sort();
    others.dedup();
    Ok(others)
}
