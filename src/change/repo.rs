//! Opening a repository without trusting it.
//!
//! Invariant: nothing the repository (or the environment) names is ever executed. The repository
//! is opened with reduced trust, without `GIT_*` variables, filter drivers are taken out of the
//! pipeline altogether, and no code here runs hooks, `core.fsmonitor`, text conversion, external
//! diff or credential helpers. This module must not know what a change is.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::io::Read as _;
use std::ops::Not as _;
use std::path::{Component, Path, PathBuf};

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::prelude::FindExt as _;
use gix::sec::{Permission, Trust};

use super::exclude::Attributes;

/// Why there is no change set. Every message is one line and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No repository at the path or above it.
    #[error(
        "{} is not inside a git repository: run it in a work tree, or pass a diff with --diff FILE",
        path.display()
    )]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// The repository has no files to look at.
    #[error(
        "{} is a bare repository: run it in a work tree, or pass a diff with --diff FILE",
        path.display()
    )]
    Bare {
        /// The repository.
        path: PathBuf,
    },
    /// The repository's configuration, format or layout cannot be read.
    #[error("cannot open the repository at {}: {why}; `git fsck` may say more", path.display())]
    Open {
        /// Where the search began.
        path: PathBuf,
        /// The cause.
        why: OneLine,
    },
    /// HEAD is damaged or names a missing commit.
    #[error("cannot read HEAD: {why}; `git status` and `git fsck` may say more")]
    Head {
        /// The cause.
        why: OneLine,
    },
    /// The index is damaged.
    #[error("cannot read the index: {why}; remove .git/index and run `git reset` to make it anew")]
    Index {
        /// The cause.
        why: OneLine,
    },
    /// The base is not a commit of the repository.
    #[error(
        "unknown base {name:?}: {why}; name a branch, tag or commit that `git rev-parse` knows"
    )]
    UnknownBase {
        /// As it was given.
        name: String,
        /// The cause.
        why: OneLine,
    },
    /// An object of the base is missing or damaged.
    #[error("cannot read an object of the base: {why}; run `git fsck`")]
    Object {
        /// The cause.
        why: OneLine,
    },
    /// The work tree cannot be walked.
    #[error("cannot list the work tree: {why}")]
    Walk {
        /// The cause.
        why: OneLine,
    },
    /// The path is not in the work tree.
    #[error("{} is not a file of the work tree at {}", path.display(), root.display())]
    Outside {
        /// The path.
        path: PathBuf,
        /// Top of the work tree.
        root: PathBuf,
    },
}

/// The text of a foreign error, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneLine(String);

impl OneLine {
    /// The error and its causes, without the places in gix's source that its own format adds.
    pub(super) fn of(error: &gix::Error) -> Self {
        let mut causes: Vec<String> = Vec::new();
        for cause in error.iter_errors() {
            let text = cause.to_string();
            if !causes.iter().any(|known| known.contains(&text)) {
                causes.push(text);
            }
        }
        Self::text(&causes.join(": "))
    }

    pub(super) fn text(text: &str) -> Self {
        OneLine(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for OneLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The top of the work tree that `folder` is in, absolute and without symbolic links.
///
/// # Errors
/// See [`ChangeError`]; no repository around the folder is one.
pub fn repository_root(folder: &Path) -> Result<PathBuf, ChangeError> {
    Ok(Repo::discover(folder)?.root)
}

/// Where a repository keeps what its changes depend on. All paths are absolute and without
/// symbolic links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryPlaces {
    /// Top of the work tree.
    pub root: PathBuf,
    /// Holds HEAD and the index of this work tree.
    pub git_dir: PathBuf,
    /// Holds the refs; the same as `git_dir` but in a linked work tree.
    pub common_dir: PathBuf,
}

/// The places of the repository that `folder` is in.
///
/// # Errors
/// See [`ChangeError`]; no repository around the folder is one.
pub fn repository_places(folder: &Path) -> Result<RepositoryPlaces, ChangeError> {
    let repo = Repo::discover(folder)?;
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Ok(RepositoryPlaces {
        git_dir: real(repo.git.git_dir()),
        common_dir: real(repo.git.common_dir()),
        root: repo.root,
    })
}

/// An open repository with a work tree.
pub(super) struct Repo {
    pub(super) git: gix::Repository,
    /// Top of the work tree, absolute and without symbolic links.
    pub(super) root: PathBuf,
    pub(super) index: gix::worktree::Index,
    content: RefCell<Option<ContentRules>>,
}

/// Reads attributes and brings contents into the form in which git stores them.
struct ContentRules {
    attributes: gix::worktree::Stack,
    selected: gix::attrs::search::Outcome,
    pipeline: gix::filter::plumbing::Pipeline,
    drivers: HashSet<Vec<u8>>,
}

/// What reading a file came to.
pub(super) enum Content {
    Data(Vec<u8>),
    TooLarge(u64),
    Unreadable(String),
}

impl Repo {
    /// Finds the repository that `path` is in. The path may be a file and need not exist.
    pub(super) fn discover(path: &Path) -> Result<Repo, ChangeError> {
        Self::discover_with(path, None)
    }

    /// The same with another index than the repository's own.
    pub(super) fn discover_with(path: &Path, index: Option<&Path>) -> Result<Repo, ChangeError> {
        let start = existing_directory(path).ok_or_else(|| ChangeError::NotARepository {
            path: path.to_owned(),
        })?;
        let assume_untrusted = gix::discover::upwards::Options {
            trust: gix::discover::upwards::TrustPolicy::Assume(Trust::Reduced),
            ..Default::default()
        };
        let options = gix::sec::trust::Mapping {
            full: options_with(index),
            reduced: options_with(index),
        };
        let git = gix::ThreadSafeRepository::discover_opts(&start, assume_untrusted, options)
            .map_err(|error| open_error(path, &error))?
            .to_thread_local();
        Self::with_index(git, path)
    }

    /// Opens the repository of a submodule that is checked out at `directory`.
    pub(super) fn open(directory: &Path) -> Result<Repo, ChangeError> {
        let git = gix::ThreadSafeRepository::open_opts(directory, options().with(Trust::Reduced))
            .map_err(|error| open_error(directory, &error))?
            .to_thread_local();
        Self::with_index(git, directory)
    }

    fn with_index(mut git: gix::Repository, path: &Path) -> Result<Repo, ChangeError> {
        let root = git.workdir().ok_or_else(|| ChangeError::Bare {
            path: git.git_dir().to_owned(),
        })?;
        let root = root.canonicalize().map_err(|error| ChangeError::Open {
            path: path.to_owned(),
            why: OneLine::text(&error.to_string()),
        })?;
        // Trees are looked up again and again.
        git.object_cache_size_if_unset(4 * 1024 * 1024);
        let index = git.index_or_empty().map_err(|error| ChangeError::Index {
            why: OneLine::of(&error),
        })?;
        Ok(Repo {
            git,
            root,
            index,
            content: RefCell::new(None),
        })
    }

    /// The path below the top of the work tree, with forward slashes. The file need not exist, and
    /// is not followed if it is a symbolic link.
    pub(super) fn relative(&self, path: &Path) -> Result<BString, ChangeError> {
        let outside = || ChangeError::Outside {
            path: path.to_owned(),
            root: self.root.clone(),
        };
        let absolute = if path.is_absolute() {
            path.to_owned()
        } else {
            self.root.join(path)
        };
        let below = match absolute.strip_prefix(&self.root) {
            Ok(below)
                if below
                    .components()
                    .all(|part| matches!(part, Component::Normal(_))) =>
            {
                below.to_owned()
            }
            _ => {
                let name = absolute.file_name().ok_or_else(outside)?;
                let parent = absolute.parent().ok_or_else(outside)?;
                let (existing, missing) = split_existing(parent).ok_or_else(outside)?;
                let real = existing.canonicalize().map_err(|_| outside())?;
                real.join(missing)
                    .join(name)
                    .strip_prefix(&self.root)
                    .map_err(|_| outside())?
                    .to_owned()
            }
        };
        if below.as_os_str().is_empty() || below.starts_with(".git") {
            return Err(outside());
        }
        let bytes = gix::path::into_bstr(below).map_err(|_| outside())?;
        Ok(gix::path::to_unix_separators_on_windows(bytes).into_owned())
    }

    pub(super) fn absolute(&self, path: &BStr) -> PathBuf {
        self.root.join(native(path))
    }

    /// A blob, unless it has more than `limit` bytes.
    pub(super) fn blob(&self, id: ObjectId, limit: u64) -> Result<Content, ChangeError> {
        let object_error = |error: gix::Error| ChangeError::Object {
            why: OneLine::of(&error),
        };
        let header = self.git.find_header(id).map_err(object_error)?;
        if header.size() > limit {
            return Ok(Content::TooLarge(header.size()));
        }
        let mut object = self.git.find_object(id).map_err(object_error)?;
        Ok(Content::Data(std::mem::take(&mut object.data)))
    }

    /// A file of the work tree as it is on disk, unless it has more than `limit` bytes.
    pub(super) fn file(&self, path: &BStr, limit: u64) -> Content {
        let read = || {
            let file = std::fs::File::open(self.absolute(path))?;
            let size = file.metadata()?.len();
            if size > limit {
                return Ok(Content::TooLarge(size));
            }
            let mut data = Vec::new();
            file.take(limit + 1).read_to_end(&mut data)?;
            if data.len() as u64 > limit {
                return Ok(Content::TooLarge(data.len() as u64));
            }
            Ok(Content::Data(data))
        };
        read().unwrap_or_else(|error: std::io::Error| Content::Unreadable(error.to_string()))
    }

    /// The form in which git would store a file's content: line ends, encoding and `$Id$` as the
    /// attributes and the configuration ask, but without running filter programs.
    pub(super) fn to_git(&self, path: &BStr, data: Vec<u8>) -> Result<Vec<u8>, ChangeError> {
        self.with_content_rules(|rules| {
            let platform = self.rules_at(&mut rules.attributes, path)?;
            let mut lookup = |_: &BStr, outcome: &mut gix::attrs::search::Outcome| {
                platform.matching_attributes(outcome);
            };
            let mut in_index = |buffer: &mut Vec<u8>| {
                Ok(self
                    .index
                    .entry_by_path(path)
                    .filter(|entry| entry.mode.is_submodule().not())
                    .and_then(|entry| self.git.objects.find_blob(&entry.id, buffer).ok())
                    .map(|_| ()))
            };
            let file = native(path);
            let stored = rules
                .pipeline
                .convert_to_git(data.as_slice(), &file, &mut lookup, &mut in_index)
                .ok()
                .and_then(|outcome| outcome.as_bytes().map(<[u8]>::to_vec));
            // A content that cannot be converted (a wrong encoding, say) is looked at as it is.
            Ok(stored.unwrap_or(data))
        })
    }

    /// The attributes that hold at `path`.
    fn rules_at<'rules>(
        &self,
        attributes: &'rules mut gix::worktree::Stack,
        path: &BStr,
    ) -> Result<gix::worktree::stack::Platform<'rules>, ChangeError> {
        attributes
            .at_entry(path, None, &self.git.objects)
            .map_err(|error| ChangeError::Walk {
                why: OneLine::text(&error.to_string()),
            })
    }

    pub(super) fn attributes(&self, path: &BStr) -> Result<Attributes, ChangeError> {
        use gix::attrs::StateRef;
        self.with_content_rules(|rules| {
            let platform = self.rules_at(&mut rules.attributes, path)?;
            rules.selected.reset();
            platform.matching_attributes(&mut rules.selected);
            let mut found = Attributes::default();
            for entry in rules.selected.iter_selected() {
                let state = entry.assignment.state;
                match entry.assignment.name.as_str() {
                    "linguist-generated" => {
                        found.generated = match state {
                            StateRef::Set => Some(true),
                            StateRef::Unset => Some(false),
                            StateRef::Value(value) => Some(value.as_bstr() != "false"),
                            StateRef::Unspecified => None,
                        };
                    }
                    "diff" => found.no_diff = state == StateRef::Unset,
                    "filter" => {
                        if let StateRef::Value(name) = state
                            && rules.drivers.contains(name.as_bstr().as_bytes())
                        {
                            found.filter = Some(name.as_bstr().to_str_lossy().into_owned());
                        }
                    }
                    _ => {}
                }
            }
            Ok(found)
        })
    }

    fn with_content_rules<T>(
        &self,
        run: impl FnOnce(&mut ContentRules) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut slot = self.content.borrow_mut();
        let rules = match &mut *slot {
            Some(rules) => rules,
            None => slot.insert(self.content_rules().map_err(|error| ChangeError::Open {
                path: self.root.clone(),
                why: OneLine::of(&error),
            })?),
        };
        run(rules)
    }

    fn content_rules(&self) -> Result<ContentRules, gix::Error> {
        use gix::worktree::stack::state::attributes::Source;
        let attributes = self
            .git
            .attributes_only(&self.index, Source::WorktreeThenIdMapping)?
            .detach();
        let mut selected = gix::attrs::search::Outcome::default();
        selected.initialize_with_selection(
            &Default::default(),
            ["linguist-generated", "diff", "filter"],
        );
        let mut options = gix::filter::Pipeline::options(&self.git)?;
        options.drivers.clear();
        options.crlf_roundtrip_check = gix::filter::plumbing::pipeline::CrlfRoundTripCheck::Skip;
        let drivers = self
            .git
            .config_snapshot()
            .plumbing()
            .sections_by_name("filter")
            .into_iter()
            .flatten()
            .filter_map(|section| Some(section.header().subsection_name()?.to_vec()))
            .collect();
        Ok(ContentRules {
            attributes,
            selected,
            pipeline: gix::filter::plumbing::Pipeline::new(
                self.git.command_context()?,
                self.git.object_hash(),
                options,
            ),
            drivers,
        })
    }
}

/// Options that take configuration files into account but nothing from the environment except
/// where the home folder is.
fn options() -> gix::open::Options {
    let deny = Permission::Deny;
    let permissions = gix::open::Permissions {
        env: gix::open::permissions::Environment {
            xdg_config_home: Permission::Allow,
            home: Permission::Allow,
            http_transport: deny,
            identity: deny,
            objects: deny,
            git_prefix: deny,
            other: deny,
            ssh_prefix: deny,
        },
        config: gix::open::permissions::Config {
            git_binary: false,
            system: true,
            git: true,
            user: true,
            env: false,
            includes: true,
        },
        attributes: gix::open::permissions::Attributes {
            git_binary: false,
            system: true,
            git: true,
        },
    };
    gix::open::Options::default()
        .permissions(permissions)
        .bail_if_untrusted(false)
}

fn options_with(index: Option<&Path>) -> gix::open::Options {
    let overrides = index.map(|path| {
        let mut value = BString::from("gitoxide.core.indexFile=");
        value.extend_from_slice(path.as_os_str().as_encoded_bytes());
        value
    });
    options().config_overrides(overrides)
}

fn open_error(path: &Path, error: &gix::Error) -> ChangeError {
    use gix::discover::upwards::Error;
    let missing = error.downcast_any_ref::<Error>().is_some();
    if missing {
        ChangeError::NotARepository {
            path: path.to_owned(),
        }
    } else {
        ChangeError::Open {
            path: path.to_owned(),
            why: OneLine::of(error),
        }
    }
}

/// A repository path for the file system. Where paths must be Unicode, other bytes are replaced and
/// the file is not found.
fn native(path: &BStr) -> PathBuf {
    gix::path::from_bstr(path).map_or_else(
        |_| PathBuf::from(path.to_str_lossy().as_ref()),
        |path| path.into_owned(),
    )
}

fn existing_directory(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let directory = absolute.ancestors().find(|path| path.is_dir())?;
    directory.canonicalize().ok()
}

/// The longest part of the path that exists, and the rest.
fn split_existing(path: &Path) -> Option<(&Path, &Path)> {
    let existing = path.ancestors().find(|path| path.exists())?;
    Some((existing, path.strip_prefix(existing).ok()?))
}
