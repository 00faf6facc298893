//! The paths that differ from the base: what `git status` lists, and for another base than HEAD
//! also what differs from that.
//!
//! Invariant: listing never runs a program and never follows a symbolic link out of the work tree.
//! This module must not know about lines of text.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice};
use gix::dir::entry::{Kind, Status};
use gix::index::Entry as IndexEntry;
use gix::index::entry::{Flags, Mode, Stage, Stat};

use super::base::{Base, Resolved, Tracked};
use super::rename::{self, Fingerprint, Side};
use super::repo::{ChangeError, Content, OneLine, Repo};

/// With more index entries than this, looking for the old path of a single file takes too long.
const CHEAP_INDEX: usize = 20_000;
/// Nested submodules looked into.
const MAX_DEPTH: u32 = 8;

/// A path whose state now and in the base, or in the index, may differ.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) path: BString,
    /// Where the base entry was, if the file was renamed.
    pub(super) old_path: Option<BString>,
    pub(super) base: Option<Tracked>,
    pub(super) now: Now,
    pub(super) conflict: bool,
}

/// Where the content of a path is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    /// Nowhere: the path is gone.
    Absent,
    /// In a file on disk.
    File {
        /// Whether it may be run.
        executable: bool,
    },
    /// In an unsaved buffer.
    Buffer,
    /// A symbolic link on disk.
    Symlink,
    /// A folder in place of a submodule.
    Submodule,
    /// Another repository that is not a submodule.
    NestedRepository,
    /// In the object database: staged, or not checked out.
    Stored(Tracked),
}

/// The question: which base, what counts as the new state.
pub(super) struct Scan<'a> {
    pub(super) repo: &'a Repo,
    pub(super) base: &'a Resolved,
    /// The new state is the index rather than the work tree.
    pub(super) staged: bool,
    /// Largest content that is read, in bytes.
    pub(super) max_bytes: u64,
    /// Unsaved texts by path; they win over the disk.
    pub(super) buffers: BTreeMap<BString, &'a str>,
    folders: RefCell<HashMap<BString, bool>>,
    stat: gix::index::entry::stat::Options,
    capabilities: gix::fs::Capabilities,
    depth: u32,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        repo: &'a Repo,
        base: &'a Resolved,
        staged: bool,
        max_bytes: u64,
    ) -> Result<Self, ChangeError> {
        let open_error = |error: gix::Error| ChangeError::Open {
            path: repo.root.clone(),
            why: OneLine::of(&error),
        };
        Ok(Scan {
            repo,
            base,
            staged,
            max_bytes,
            buffers: BTreeMap::new(),
            folders: RefCell::new(HashMap::new()),
            stat: repo.git.stat_options().map_err(open_error)?,
            capabilities: repo.git.filesystem_options().map_err(open_error)?,
            depth: 0,
        })
    }

    /// All candidates, sorted by path.
    pub(super) fn all(&self) -> Result<Vec<Candidate>, ChangeError> {
        let untracked = if self.staged {
            BTreeMap::new()
        } else {
            self.untracked()?
        };
        let base = self.base.all(self.repo)?;
        let mut candidates = self.tracked(&base, |path| untracked.contains_key(path))?;
        let in_base = |path: &BStr| {
            base.binary_search_by(|(other, _)| other.as_bstr().cmp(path))
                .is_ok()
        };
        for (path, &now) in &untracked {
            if !in_base(path.as_bstr()) {
                candidates.push(Candidate {
                    path: path.clone(),
                    old_path: None,
                    base: None,
                    now,
                    conflict: false,
                });
            }
        }
        self.follow_renames(&mut candidates)?;
        candidates.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(candidates)
    }

    /// All paths that differ between the base and another commit, sorted.
    pub(super) fn between(&self, commit: &Resolved) -> Result<Vec<Candidate>, ChangeError> {
        let old: BTreeMap<BString, Tracked> = self.base.all(self.repo)?.into_iter().collect();
        let new: BTreeMap<BString, Tracked> = commit.all(self.repo)?.into_iter().collect();
        let differing = |now: Now, path: &BString| Candidate {
            path: path.clone(),
            old_path: None,
            base: old.get(path).copied(),
            now,
            conflict: false,
        };
        let gone = old.keys().filter(|path| !new.contains_key(*path));
        let mut candidates: Vec<Candidate> =
            gone.map(|path| differing(Now::Absent, path)).collect();
        let changed = new.iter().filter(|(path, now)| old.get(*path) != Some(now));
        candidates.extend(changed.map(|(path, now)| differing(Now::Stored(*now), path)));
        self.follow_renames(&mut candidates)?;
        candidates.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(candidates)
    }

    /// The candidate at one path, if it is one. Looks at other paths only to find the old path of
    /// a new file, and only in a repository of moderate size.
    pub(super) fn one(&self, path: &BStr) -> Result<Option<Candidate>, ChangeError> {
        let base = self.base.at(self.repo, path)?;
        let range = self.repo.index.entry_range(path).unwrap_or(0..0);
        let entries = &self.repo.index.entries()[range];
        let visible = entries.is_empty() && !self.staged && !self.is_ignored(path)?;
        let untracked = || visible && !self.on_disk(path).is_absent();
        let Some(mut candidate) = self.examine(path, base, entries, untracked)? else {
            let new = base.is_none() && entries.is_empty() && untracked();
            return if new {
                self.renamed_or_new(path).map(Some)
            } else {
                Ok(None)
            };
        };
        let is_new = candidate.base.is_none() && !candidate.conflict && candidate.now.is_content();
        if is_new {
            candidate = self.renamed_or_new(path)?;
        }
        Ok(Some(candidate))
    }

    fn renamed_or_new(&self, path: &BStr) -> Result<Candidate, ChangeError> {
        let now = match self.on_disk(path) {
            _ if self.staged => {
                super::base::staged(self.repo, path).map_or(Now::Absent, Now::Stored)
            }
            now => now,
        };
        let mut candidates = vec![Candidate {
            path: path.to_owned(),
            old_path: None,
            base: None,
            now,
            conflict: false,
        }];
        if self.repo.index.entries().len() <= CHEAP_INDEX {
            candidates.extend(self.gone()?);
            self.follow_renames(&mut candidates)?;
        }
        candidates.truncate(1);
        candidates.pop().ok_or_else(|| ChangeError::Outside {
            path: self.repo.absolute(path),
            root: self.repo.root.clone(),
        })
    }

    /// The files of the base that are gone.
    fn gone(&self) -> Result<Vec<Candidate>, ChangeError> {
        let base = self.base.all(self.repo)?;
        let mut gone = Vec::new();
        for (path, tracked) in base {
            let staged = self.repo.index.entry_by_path(path.as_bstr());
            let here = match staged {
                Some(entry) if self.staged || is_unchecked(entry) => true,
                Some(_) => !self.on_disk(path.as_bstr()).is_absent(),
                None => !self.staged && !self.on_disk(path.as_bstr()).is_absent(),
            };
            if !here && !self.is_sparse_folder(path.as_bstr()) {
                gone.push(Candidate {
                    path,
                    old_path: None,
                    base: Some(tracked),
                    now: Now::Absent,
                    conflict: false,
                });
            }
        }
        Ok(gone)
    }

    /// Merges the base and the index, both sorted by path.
    fn tracked(
        &self,
        base: &[(BString, Tracked)],
        untracked: impl Fn(&BStr) -> bool,
    ) -> Result<Vec<Candidate>, ChangeError> {
        let index = &self.repo.index;
        let mut groups = index
            .entries()
            .chunk_by(|a, b| a.path(index) == b.path(index))
            .map(|entries| (entries[0].path(index), entries))
            .peekable();
        let mut base = base
            .iter()
            .map(|(path, tracked)| (path.as_bstr(), *tracked))
            .peekable();
        let mut found = Vec::new();
        loop {
            let path = match (base.peek(), groups.peek()) {
                (None, None) => return Ok(found),
                (Some((path, _)), None) => *path,
                (None, Some((path, _))) => *path,
                (Some((old, _)), Some((new, _))) => *old.min(new),
            };
            let tracked = base
                .next_if(|(other, _)| *other == path)
                .map(|(_, tracked)| tracked);
            let entries = groups
                .next_if(|(other, _)| *other == path)
                .map(|(_, entries)| entries);
            let entries = entries.unwrap_or_default();
            found.extend(self.examine(path, tracked, entries, || untracked(path))?);
        }
    }

    /// Compares the base, the index and the new state of one path.
    fn examine(
        &self,
        path: &BStr,
        base: Option<Tracked>,
        entries: &[IndexEntry],
        untracked: impl Fn() -> bool,
    ) -> Result<Option<Candidate>, ChangeError> {
        let candidate = |now, conflict| Candidate {
            path: path.to_owned(),
            old_path: None,
            base,
            now,
            conflict,
        };
        let entry = match entries {
            [] if base.is_none() || self.is_sparse_folder(path) => return Ok(None),
            [] => {
                let now = if untracked() {
                    self.on_disk(path)
                } else {
                    Now::Absent
                };
                return Ok(Some(candidate(now, false)));
            }
            [entry] if entry.stage() == Stage::Unconflicted => entry,
            _ => return Ok(Some(candidate(self.on_disk(path), true))),
        };
        if entry.mode.is_sparse() {
            return Ok(None);
        }
        let intended = entry.flags.contains(Flags::INTENT_TO_ADD);
        let index = Tracked {
            id: entry.id,
            mode: entry.mode,
        };
        let staged_change = base != Some(index);
        if self.staged {
            let listed = staged_change && !intended;
            return Ok(listed.then(|| candidate(Now::Stored(index), false)));
        }
        if intended {
            return Ok(Some(candidate(self.on_disk(path), false)));
        }
        if is_unchecked(entry) && !self.buffers.contains_key(path) {
            return Ok(staged_change.then(|| candidate(Now::Stored(index), false)));
        }
        let (now, unstaged_change) = self.compare_with_disk(path, entry)?;
        Ok((staged_change || unstaged_change).then(|| candidate(now, false)))
    }

    /// The state on disk, and whether git would call it modified against the index.
    fn compare_with_disk(
        &self,
        path: &BStr,
        entry: &IndexEntry,
    ) -> Result<(Now, bool), ChangeError> {
        if self.buffers.contains_key(path) {
            // Whether the buffer differs shows when its lines are compared.
            return Ok((Now::Buffer, true));
        }
        let Some(found) = self.metadata(path) else {
            return Ok((Now::Absent, true));
        };
        if entry.mode.is_submodule() {
            let now = if found.is_dir() {
                Now::Submodule
            } else {
                kind_of(&found)
            };
            return Ok((
                now,
                !found.is_dir() || self.submodule_differs(path, entry.id),
            ));
        }
        if found.is_dir() {
            return Ok((Now::Absent, true));
        }
        let now = kind_of(&found);
        let type_differs = entry
            .mode
            .change_to_match_fs(
                &found,
                self.capabilities.symlink,
                self.capabilities.executable_bit,
            )
            .is_some();
        if type_differs {
            return Ok((now, true));
        }
        let same_stat =
            Stat::from_fs(&found).is_ok_and(|stat| entry.stat.matches(&stat, self.stat));
        if same_stat && !entry.stat.is_racy(self.repo.index.timestamp(), self.stat) {
            return Ok((now, false));
        }
        // As git has it: another size is another content, even if a line end conversion would
        // make up for it.
        if entry.stat.size != 0 && u64::from(entry.stat.size) != found.len() & u64::from(u32::MAX) {
            return Ok((now, true));
        }
        let same = match now {
            Now::Symlink => self.link_id(path) == Some(entry.id),
            _ => self.file_is(path, &found, entry.id)?,
        };
        Ok((now, !same))
    }

    /// Whether git would store the file under this id.
    fn file_is(
        &self,
        path: &BStr,
        found: &gix::index::fs::Metadata,
        id: ObjectId,
    ) -> Result<bool, ChangeError> {
        if found.len() > self.max_bytes {
            return Ok(self.large_file_is(path, found.len(), id));
        }
        let Content::Data(data) = self.repo.file(path, self.max_bytes) else {
            return Ok(false);
        };
        if self.id_of(&data) == Some(id) {
            return Ok(true);
        }
        let stored = self.repo.to_git(path, data)?;
        Ok(self.id_of(&stored) == Some(id))
    }

    fn large_file_is(&self, path: &BStr, size: u64, id: ObjectId) -> bool {
        let Ok(mut file) = std::fs::File::open(self.repo.absolute(path)) else {
            return false;
        };
        gix::objs::compute_stream_hash(
            self.repo.git.object_hash(),
            gix::objs::Kind::Blob,
            &mut file,
            size,
            &mut gix::progress::Discard,
            &AtomicBool::new(false),
        )
        .is_ok_and(|found| found == id)
    }

    fn link_id(&self, path: &BStr) -> Option<ObjectId> {
        let target = std::fs::read_link(self.repo.absolute(path)).ok()?;
        self.id_of(&gix::path::into_bstr(target).ok()?)
    }

    fn id_of(&self, data: &[u8]) -> Option<ObjectId> {
        gix::objs::compute_hash(self.repo.git.object_hash(), gix::objs::Kind::Blob, data).ok()
    }

    fn submodule_differs(&self, path: &BStr, id: ObjectId) -> bool {
        let folder = self.repo.absolute(path);
        if std::fs::symlink_metadata(folder.join(".git")).is_err() {
            return false; // not checked out
        }
        if self.depth >= MAX_DEPTH {
            return true;
        }
        self.submodule_is_clean_at(&folder, id) != Some(true)
    }

    fn submodule_is_clean_at(&self, folder: &Path, id: ObjectId) -> Option<bool> {
        let repo = Repo::open(folder).ok()?;
        let base = Resolved::of(&repo, &Base::Head).ok()?;
        if base.commit != Some(id.to_string()) {
            return Some(false);
        }
        let mut scan = Scan::new(&repo, &base, false, self.max_bytes).ok()?;
        scan.depth = self.depth + 1;
        Some(scan.all().ok()?.is_empty())
    }

    /// Untracked paths that are not ignored, folders opened up to their files, and new buffers.
    fn untracked(&self) -> Result<BTreeMap<BString, Now>, ChangeError> {
        let walk_error = |error: gix::Error| ChangeError::Walk {
            why: OneLine::of(&error),
        };
        let options = self
            .repo
            .git
            .dirwalk_options()
            .map_err(walk_error)?
            .emit_untracked(gix::dir::walk::EmissionMode::Matching);
        let mut found = gix::dir::walk::delegate::Collect::default();
        self.repo
            .git
            .dirwalk(
                &self.repo.index,
                None::<&BStr>,
                &AtomicBool::new(false),
                options,
                &mut found,
            )
            .map_err(walk_error)?;
        let mut untracked = BTreeMap::new();
        for (entry, _) in found.unorded_entries {
            if entry.status != Status::Untracked {
                continue;
            }
            let now = match entry.disk_kind {
                Some(Kind::File) => self.on_disk(entry.rela_path.as_bstr()),
                Some(Kind::Symlink) => Now::Symlink,
                Some(Kind::Repository) => Now::NestedRepository,
                Some(Kind::Directory | Kind::Untrackable) | None => continue,
            };
            let path = entry
                .rela_path
                .strip_suffix(b"/")
                .unwrap_or(&entry.rela_path);
            untracked.insert(BString::from(path), now);
        }
        for path in self.buffers.keys() {
            let known = self.repo.index.entry_range(path.as_bstr()).is_some();
            if !known && !untracked.contains_key(path) && !self.is_ignored(path.as_bstr())? {
                untracked.insert(path.clone(), Now::Buffer);
            }
        }
        Ok(untracked)
    }

    /// Whether an exclude file covers the path.
    pub(super) fn is_ignored(&self, path: &BStr) -> Result<bool, ChangeError> {
        use gix::worktree::stack::state::ignore::Source;
        let walk_error = |error: gix::Error| ChangeError::Walk {
            why: OneLine::of(&error),
        };
        let mut excludes = self
            .repo
            .git
            .excludes(
                &self.repo.index,
                None,
                Source::WorktreeThenIdMappingIfNotSkipped,
            )
            .map_err(walk_error)?;
        let platform = excludes
            .at_entry(path, Some(Mode::FILE))
            .map_err(walk_error)?;
        Ok(platform.is_excluded())
    }

    /// Joins deleted and added files that are the same file under a new path.
    fn follow_renames(&self, candidates: &mut Vec<Candidate>) -> Result<(), ChangeError> {
        let is_source = |candidate: &Candidate| {
            !candidate.conflict
                && candidate.now == Now::Absent
                && candidate.base.is_some_and(|base| is_file(base.mode))
        };
        let is_destination = |candidate: &Candidate| {
            !candidate.conflict && candidate.base.is_none() && candidate.now.is_content()
        };
        let sources: Vec<usize> = positions(candidates, is_source);
        let destinations: Vec<usize> = positions(candidates, is_destination);
        if sources.is_empty() || destinations.is_empty() {
            return Ok(());
        }
        let mut from = Vec::new();
        for &index in &sources {
            let Candidate {
                path,
                base: Some(base),
                ..
            } = &candidates[index]
            else {
                continue;
            };
            from.push(rename::File {
                path: path.as_bstr(),
                id: base.id,
            });
        }
        let mut to = Vec::new();
        for &index in &destinations {
            let candidate = &candidates[index];
            let id = match candidate.now {
                Now::Stored(tracked) => tracked.id,
                _ => match self.content(candidate)? {
                    Content::Data(data) => self.id_of(&data),
                    Content::TooLarge(_) | Content::Unreadable(_) => None,
                }
                .unwrap_or(ObjectId::null(self.repo.git.object_hash())),
            };
            to.push(rename::File {
                path: candidate.path.as_bstr(),
                id,
            });
        }
        let pairs = rename::pair(&from, &to, |side, index| {
            let content = match side {
                Side::Source => self.repo.blob(from[index].id, self.max_bytes)?,
                Side::Destination => self.content(&candidates[destinations[index]])?,
            };
            Ok(match content {
                Content::Data(data) => Some(Fingerprint::of(&data)),
                Content::TooLarge(_) | Content::Unreadable(_) => None,
            })
        })?;
        let mut used = Vec::new();
        for (&destination, pair) in destinations.iter().zip(pairs) {
            let Some(source) = pair.map(|source| sources[source]) else {
                continue;
            };
            candidates[destination].base = candidates[source].base;
            candidates[destination].old_path = Some(candidates[source].path.clone());
            used.push(source);
        }
        used.sort_unstable();
        for source in used.into_iter().rev() {
            candidates.remove(source);
        }
        Ok(())
    }

    /// The content of a path now, in the form in which git stores it.
    pub(super) fn content(&self, candidate: &Candidate) -> Result<Content, ChangeError> {
        let path = candidate.path.as_bstr();
        match candidate.now {
            Now::Stored(tracked) => self.repo.blob(tracked.id, self.max_bytes),
            Now::Buffer => {
                let text = self.buffers.get(path).copied().unwrap_or_default();
                let size = text.len() as u64;
                Ok(if size > self.max_bytes {
                    Content::TooLarge(size)
                } else {
                    Content::Data(text.as_bytes().to_vec())
                })
            }
            Now::File { .. } => match self.repo.file(path, self.max_bytes) {
                Content::Data(data) => Ok(Content::Data(self.repo.to_git(path, data)?)),
                other => Ok(other),
            },
            Now::Absent | Now::Symlink | Now::Submodule | Now::NestedRepository => {
                Ok(Content::Data(Vec::new()))
            }
        }
    }

    fn on_disk(&self, path: &BStr) -> Now {
        if self.buffers.contains_key(path) {
            return Now::Buffer;
        }
        match self.metadata(path) {
            None => Now::Absent,
            Some(found) if found.is_dir() => Now::Absent,
            Some(found) => kind_of(&found),
        }
    }

    /// What is at the path, unless one of its folders is a symbolic link.
    fn metadata(&self, path: &BStr) -> Option<gix::index::fs::Metadata> {
        if let Some(slash) = path.rfind_byte(b'/')
            && !self.is_real_folder(path[..slash].as_bstr())
        {
            return None;
        }
        gix::index::fs::Metadata::from_path_no_follow(&self.repo.absolute(path)).ok()
    }

    fn is_real_folder(&self, folder: &BStr) -> bool {
        if let Some(&known) = self.folders.borrow().get(folder) {
            return known;
        }
        let parents_are = folder
            .rfind_byte(b'/')
            .is_none_or(|slash| self.is_real_folder(folder[..slash].as_bstr()));
        let real = parents_are
            && std::fs::symlink_metadata(self.repo.absolute(folder))
                .is_ok_and(|found| found.is_dir());
        self.folders.borrow_mut().insert(folder.to_owned(), real);
        real
    }

    /// Whether the index holds the path only as part of a folder that is not checked out.
    fn is_sparse_folder(&self, path: &BStr) -> bool {
        self.repo.index.is_sparse()
            && path.find_iter("/").any(|slash| {
                self.repo
                    .index
                    .entry_by_path(path[..=slash].as_bstr())
                    .is_some_and(|entry| entry.mode.is_sparse())
            })
    }
}

impl Now {
    fn is_absent(self) -> bool {
        self == Now::Absent
    }

    /// Whether there is a file content to compare.
    fn is_content(self) -> bool {
        match self {
            Now::File { .. } | Now::Buffer => true,
            Now::Stored(tracked) => is_file(tracked.mode),
            Now::Absent | Now::Symlink | Now::Submodule | Now::NestedRepository => false,
        }
    }
}

/// Whether git takes the entry as unchanged without looking.
fn is_unchecked(entry: &IndexEntry) -> bool {
    entry
        .flags
        .intersects(Flags::SKIP_WORKTREE | Flags::ASSUME_VALID)
}

pub(super) fn is_file(mode: Mode) -> bool {
    mode == Mode::FILE || mode == Mode::FILE_EXECUTABLE
}

fn kind_of(found: &gix::index::fs::Metadata) -> Now {
    if found.is_symlink() {
        Now::Symlink
    } else if found.is_file() {
        Now::File {
            executable: found.is_executable(),
        }
    } else {
        Now::Absent
    }
}

fn positions(candidates: &[Candidate], wanted: impl Fn(&Candidate) -> bool) -> Vec<usize> {
    (0..candidates.len())
        .filter(|&index| wanted(&candidates[index]))
        .collect()
}
