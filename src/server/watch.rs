//! Watches the repositories of open documents, so that a commit, checkout, stash, rebase or reset
//! made elsewhere is noticed without a word from the client.
//!
//! Invariants: watches are in place before a change is told, so nothing falls between them and the
//! look that follows; a thread that has nothing to watch, or sees no event, sleeps; where the
//! system cannot watch, the places are compared by their times and sizes instead. This module
//! must not know documents, nor what a change of the repository means for them.

use crate::change::{Base, RepositoryPlaces};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A change is told when nothing more happened for so long: git writes several files in a row.
const QUIET: Duration = Duration::from_millis(150);

/// A change is told after so long even if more happens, as in a long rebase.
const LONGEST: Duration = Duration::from_millis(500);

/// How often places that cannot be watched are compared.
const POLL: Duration = Duration::from_millis(700);

/// Files at the top of the work tree that decide about every file below.
pub(super) const SETTINGS: [&str; 3] = [".git", ".gitattributes", crate::config::FILE_NAME];

/// Told with the top of the work tree whose repository changed.
pub(super) type OnChange = Box<dyn Fn(PathBuf) + Send>;

/// Handle to the watching thread, which is started when there is something to watch.
pub(super) struct Watcher {
    start: Option<(OnChange, Means)>,
    thread: Option<Sender<Message>>,
    following: BTreeMap<PathBuf, Followed>,
}

/// By what means changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The system's, and polling where those fail.
    System,
    #[cfg(test)]
    Polling,
}

/// What of a repository matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) places: RepositoryPlaces,
    /// The revision that is the base, if it is not HEAD: its ref is watched too.
    pub(super) base: Option<String>,
}

impl Followed {
    pub(super) fn of(places: RepositoryPlaces, base: &Base) -> Self {
        Self {
            places,
            base: base.revision().map(Into::into),
        }
    }
}

enum Message {
    Follow(Followed),
    Forget(PathBuf),
    Happened(notify::Result<notify::Event>),
    Stop,
}

impl Watcher {
    pub(super) fn new(on_change: OnChange) -> Self {
        Self::by(Means::System, on_change)
    }

    fn by(means: Means, on_change: OnChange) -> Self {
        Self {
            start: Some((on_change, means)),
            thread: None,
            following: BTreeMap::new(),
        }
    }

    /// Watches a repository, in place of what was said about it before. A change is told once the
    /// watches are there.
    pub(super) fn follow(&mut self, followed: Followed) {
        let root = followed.places.root.clone();
        if self.following.get(&root) == Some(&followed) {
            return;
        }
        self.following.insert(root, followed.clone());
        self.send(Message::Follow(followed));
    }

    /// Forgets all repositories whose work trees are not among `roots`.
    pub(super) fn keep_only(&mut self, roots: &BTreeSet<&Path>) {
        let gone: Vec<PathBuf> = self
            .following
            .keys()
            .filter(|root| !roots.contains(root.as_path()))
            .cloned()
            .collect();
        for root in gone {
            self.following.remove(&root);
            self.send(Message::Forget(root));
        }
    }

    fn send(&mut self, message: Message) {
        if let Some((on_change, means)) = self.start.take() {
            let (send, receive) = unbounded();
            let worker = Worker::new(on_change, means, send.clone());
            let started = std::thread::Builder::new()
                .name("watch".into())
                .spawn(move || worker.run(&receive));
            match started {
                Ok(_) => self.thread = Some(send),
                Err(error) => tracing::warn!(%error, "cannot watch repositories"),
            }
        }
        if let Some(thread) = &self.thread {
            drop(thread.send(message));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(thread) = &self.thread {
            drop(thread.send(Message::Stop));
        }
    }
}

struct Worker {
    on_change: OnChange,
    /// `None` if the system offers no watching.
    system: Option<RecommendedWatcher>,
    repositories: BTreeMap<PathBuf, Repository>,
    /// Folders that the system watches.
    watched: BTreeSet<PathBuf>,
    poll_every: Duration,
}

struct Repository {
    followed: Followed,
    folders: BTreeSet<PathBuf>,
    /// When it changed first and last, if that was not told yet.
    changed: Option<(Instant, Instant)>,
    poll: Option<Poll>,
}

/// For a repository of which some folder cannot be watched.
struct Poll {
    due: Instant,
    print: u64,
}

impl Worker {
    fn new(on_change: OnChange, means: Means, send: Sender<Message>) -> Self {
        let (system, poll_every) = match means {
            Means::System => {
                let system = notify::recommended_watcher(move |event| {
                    drop(send.send(Message::Happened(event)));
                })
                .inspect_err(|error| tracing::warn!(%error, "the system offers no watching"))
                .ok();
                (system, POLL)
            }
            #[cfg(test)]
            Means::Polling => (None, Duration::from_millis(10)),
        };
        Self {
            on_change,
            system,
            repositories: BTreeMap::new(),
            watched: BTreeSet::new(),
            poll_every,
        }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let due = self.repositories.values().filter_map(Repository::due).min();
            let message = match due {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => messages.recv_deadline(due),
            };
            match message {
                Ok(Message::Follow(followed)) => self.follow(followed),
                Ok(Message::Forget(root)) => {
                    self.repositories.remove(&root);
                    self.unwatch_unused();
                }
                Ok(Message::Happened(Ok(event))) => self.happened(&event),
                Ok(Message::Happened(Err(error))) => {
                    tracing::warn!(%error, "watching failed");
                    self.mark(|_| true);
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.poll();
            self.tell();
        }
    }

    fn follow(&mut self, followed: Followed) {
        let root = followed.places.root.clone();
        let now = Instant::now();
        let repository = Repository {
            followed,
            folders: BTreeSet::new(),
            // At once: whatever happened before there were watches is seen now.
            changed: Some((now, now)),
            poll: None,
        };
        self.repositories.insert(root, repository);
    }

    fn happened(&mut self, event: &notify::Event) {
        if is_reading(event.kind) {
            return;
        }
        // The queue was full: anything may have happened.
        if event.need_rescan() {
            self.mark(|_| true);
            return;
        }
        let moved = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        for path in &event.paths {
            if moved {
                self.lose(path);
            }
            self.mark(|repository| repository.depends_on(path));
        }
    }

    /// Takes away the watches at and below a folder that is gone: what comes in its place is
    /// another folder.
    fn lose(&mut self, path: &Path) {
        let lost: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|folder| folder.starts_with(path))
            .cloned()
            .collect();
        for folder in lost {
            self.unwatch(&folder);
        }
    }

    fn mark(&mut self, is_touched: impl Fn(&Repository) -> bool) {
        let now = Instant::now();
        for repository in self.repositories.values_mut() {
            if is_touched(repository) {
                let first = repository.changed.map_or(now, |(first, _)| first);
                repository.changed = Some((first, now));
            }
        }
    }

    fn poll(&mut self) {
        let now = Instant::now();
        for repository in self.repositories.values_mut() {
            let Some(poll) = repository.poll.as_mut().filter(|poll| poll.due <= now) else {
                continue;
            };
            let print = print_of(&repository.folders, &repository.followed.places.root);
            if print != poll.print {
                repository.changed.get_or_insert((now, now));
            }
            *poll = Poll {
                due: now + self.poll_every,
                print,
            };
        }
    }

    /// Tells the changes after which it became quiet, once the watches are what they should be
    /// after them: HEAD may be on another branch, and `.git` be another folder.
    fn tell(&mut self) {
        let now = Instant::now();
        let ready: Vec<PathBuf> = self
            .repositories
            .iter()
            .filter(|(_, repository)| repository.tell_at().is_some_and(|at| at <= now))
            .map(|(root, _)| root.clone())
            .collect();
        for root in ready {
            self.watch(&root);
            (self.on_change)(root);
        }
        self.unwatch_unused();
    }

    fn watch(&mut self, root: &Path) {
        let Some(repository) = self.repositories.get_mut(root) else {
            return;
        };
        repository.changed = None;
        repository.folders = folders(&repository.followed);
        let mut is_watched = true;
        for folder in &repository.folders {
            if self.watched.contains(folder) {
                continue;
            }
            let Some(system) = &mut self.system else {
                is_watched = false;
                continue;
            };
            match system.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone());
                }
                Err(error) => {
                    tracing::info!(%error, folder = %folder.display(), "polled instead of watched");
                    is_watched = false;
                }
            }
        }
        repository.poll = (!is_watched).then(|| Poll {
            due: Instant::now() + self.poll_every,
            print: print_of(&repository.folders, root),
        });
    }

    fn unwatch_unused(&mut self) {
        let used: BTreeSet<&PathBuf> = self
            .repositories
            .values()
            .flat_map(|repository| &repository.folders)
            .collect();
        let unused: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|folder| !used.contains(folder))
            .cloned()
            .collect();
        for folder in unused {
            self.unwatch(&folder);
        }
    }

    fn unwatch(&mut self, folder: &Path) {
        self.watched.remove(folder);
        if let Some(system) = &mut self.system
            && let Err(error) = system.unwatch(folder)
        {
            tracing::debug!(%error, folder = %folder.display(), "was no longer watched");
        }
    }
}

impl Repository {
    fn tell_at(&self) -> Option<Instant> {
        let (first, last) = self.changed?;
        // Not watched yet: the first time is at once.
        if self.folders.is_empty() {
            return Some(first);
        }
        Some((last + QUIET).min(first + LONGEST))
    }

    fn due(&self) -> Option<Instant> {
        let poll = self.poll.as_ref().map(|poll| poll.due);
        self.tell_at().into_iter().chain(poll).min()
    }

    fn depends_on(&self, path: &Path) -> bool {
        if self.folders.contains(path) {
            return true;
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return false;
        };
        self.folders.contains(folder) && matters(name, folder, &self.followed.places.root)
    }
}

/// Whether an event is only about somebody reading.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// Whether a file of a watched folder says anything about changes.
fn matters(name: &OsStr, folder: &Path, root: &Path) -> bool {
    let Some(name) = name.to_str() else {
        return true;
    };
    if folder == root {
        return SETTINGS.contains(&name);
    }
    // The work tree is gone, and this is where it was.
    if let Ok(way) = root.strip_prefix(folder) {
        return way.iter().next() == Some(OsStr::new(name));
    }
    let is_noise = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "lock")
        || name.starts_with(".watchman-cookie")
        || name.starts_with("fsmonitor")
        || name.starts_with("gc.")
        || ["COMMIT_EDITMSG", "FETCH_HEAD", "logs", "objects", "hooks"].contains(&name);
    !is_noise
}

/// The folders whose direct entries decide what is changed. One that does not exist is replaced by
/// the nearest above it that does, so that its coming is noticed.
fn folders(followed: &Followed) -> BTreeSet<PathBuf> {
    let RepositoryPlaces {
        root,
        git_dir,
        common_dir,
    } = &followed.places;
    let mut wanted = vec![root.clone(), git_dir.clone(), common_dir.clone()];
    let reftable = common_dir.join("reftable");
    if reftable.is_dir() {
        wanted.push(reftable);
        wanted.push(git_dir.join("reftable"));
    }
    let head = std::fs::read_to_string(git_dir.join("HEAD")).unwrap_or_default();
    if let Some(name) = head.trim_end().strip_prefix("ref: ") {
        wanted.extend(folder_of(common_dir, name));
    }
    if let Some(base) = &followed.base {
        let end = base.find(['~', '^', '@', ':']).unwrap_or(base.len());
        let name = base.get(..end).unwrap_or_default();
        for above in ["", "refs/", "refs/heads/", "refs/remotes/", "refs/tags/"] {
            wanted.extend(folder_of(common_dir, &format!("{above}{name}")));
        }
    }
    wanted
        .iter()
        .filter_map(|folder| folder.ancestors().find(|folder| folder.is_dir()))
        .map(Path::to_owned)
        .collect()
}

/// The folder that the ref `name` is a file of.
fn folder_of(common_dir: &Path, name: &str) -> Option<PathBuf> {
    let is_plain = Path::new(name)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let folder = common_dir.join(name).parent()?.to_owned();
    (is_plain && !name.is_empty()).then_some(folder)
}

/// Changes when an entry that matters comes, goes, or is written.
fn print_of(folders: &BTreeSet<PathBuf>, root: &Path) -> u64 {
    let mut entries = BTreeSet::new();
    for folder in folders {
        let names: Vec<PathBuf> = if folder == root {
            SETTINGS.iter().map(PathBuf::from).collect()
        } else {
            std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| PathBuf::from(entry.file_name()))
                .filter(|name| matters(name.as_os_str(), folder, root))
                .collect()
        };
        for name in names {
            let path = folder.join(name);
            let Ok(meta) = std::fs::symlink_metadata(&path) else {
                continue;
            };
            // A folder's own time moves with every lock file in it.
            let content = (!meta.is_dir()).then(|| (meta.len(), meta.modified().ok()));
            entries.insert((path, content));
        }
    }
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Bench {
        folder: tempfile::TempDir,
        root: PathBuf,
        watcher: Watcher,
        told: Receiver<PathBuf>,
    }

    fn bench(means: Means) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("work");
        let (tell, told) = unbounded();
        let on_change = Box::new(move |root| drop(tell.send(root)));
        Bench {
            folder,
            root,
            watcher: Watcher::by(means, on_change),
            told,
        }
    }

    impl Bench {
        fn write(&self, path: &str, content: &str) {
            let path = self.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // As git does it.
            let lock = path.with_extension("lock");
            fs::write(&lock, content).unwrap();
            fs::rename(lock, path).unwrap();
        }

        fn followed(&self) -> Followed {
            let git_dir = self.root.join(".git");
            Followed {
                places: RepositoryPlaces {
                    root: self.root.clone(),
                    common_dir: git_dir.clone(),
                    git_dir,
                },
                base: Some("origin/main~1".into()),
            }
        }

        #[track_caller]
        fn is_told(&self, what: &str) {
            let told = self.told.recv_timeout(Duration::from_secs(30));
            assert_eq!(told.as_ref(), Ok(&self.root), "{what}");
        }
    }

    fn notices(means: Means) {
        let mut bench = bench(means);
        bench.write(".git/HEAD", "ref: refs/heads/main\n");
        bench.watcher.follow(bench.followed());
        bench.is_told("the watches are there");
        for (path, content) in [
            (".git/index", "1"),
            (".git/index", "22"),
            (".git/packed-refs", "1"),
            (".git/refs/heads/main", "1"),
            (".git/refs/heads/main", "22"),
            (".git/HEAD", "ref: refs/heads/deep/er\n"),
            (".git/refs/heads/deep/er", "1"),
            (".git/refs/heads/deep/er", "22"),
            (".git/refs/remotes/origin/main", "1"),
            (".git/refs/remotes/origin/main", "22"),
            (".git/MERGE_HEAD", "1"),
            (".git/reftable/tables.list", "1"),
            (".git/reftable/tables.list", "22"),
            ("diffidence.toml", ""),
        ] {
            bench.write(path, content);
            bench.is_told(path);
        }
        fs::rename(bench.root.join(".git"), bench.folder.path().join("old")).unwrap();
        bench.is_told("gone");
        bench.write(".git/HEAD", "ref: refs/heads/main\n");
        bench.is_told("another repository");
        bench.write(".git/refs/heads/main", "1");
        bench.is_told("its ref");
        fs::remove_dir_all(&bench.root).unwrap();
        bench.is_told("the work tree is gone");
        bench.write(".git/HEAD", "ref: refs/heads/main\n");
        bench.is_told("the work tree is back");
        bench.write(".git/index", "1");
        bench.is_told("its index");
    }

    #[test]
    fn the_system_tells_of_whatever_matters() {
        notices(Means::System);
    }

    #[test]
    fn polling_tells_of_the_same() {
        notices(Means::Polling);
    }

    #[test]
    fn what_is_forgotten_is_not_watched() {
        let mut bench = bench(Means::System);
        bench.write(".git/HEAD", "ref: refs/heads/main\n");
        bench.watcher.follow(bench.followed());
        bench.is_told("the watches are there");
        bench.watcher.keep_only(&BTreeSet::new());
        bench.write(".git/index", "1");
        bench.watcher.follow(bench.followed());
        bench.is_told("followed anew");
        bench.watcher.follow(bench.followed());
        assert!(bench.told.is_empty(), "what is known is not told again");
        let told = bench.told.clone();
        drop(bench.watcher);
        // The thread ends and takes the sender with it.
        assert!(told.recv_timeout(Duration::from_secs(30)).is_err());
    }

    #[track_caller]
    fn check(path: &str, expected: bool) {
        let bench = bench(Means::System);
        let followed = bench.followed();
        let git_dir = followed.places.git_dir.clone();
        let folders = [
            bench.root.clone(),
            bench.root.parent().unwrap().into(),
            git_dir.join("refs/heads"),
            git_dir,
        ];
        let repository = Repository {
            followed,
            folders: folders.into(),
            changed: None,
            poll: None,
        };
        let path = bench.root.parent().unwrap().join(path);
        assert_eq!(repository.depends_on(&path), expected, "{}", path.display());
    }

    #[test]
    fn noise_is_told_from_changes() {
        check("work/.git", true);
        check("work/.git/index", true);
        check("work/.git/ORIG_HEAD", true);
        check("work/.git/rebase-merge", true);
        check("work/.git/refs/heads/main", true);
        check("work/.git/refs/heads/fix.locked", true);
        check("work/.gitattributes", true);
        check("work/.git/index.lock", false);
        check("work/.git/refs/heads/main.lock", false);
        check("work/.git/.watchman-cookie-host-1", false);
        check("work/.git/COMMIT_EDITMSG", false);
        check("work/main.rs", false);
        check("work", true);
        check("elsewhere", false);
    }
}
