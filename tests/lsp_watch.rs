//! What git does in a terminal reaches the editor by the server's own watching: no test here
//! sends a save or a watched-files notification.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "the measured times are printed"
)]

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup, latest_diagnostics, uri};

const LOW: &str = "12% likely correct · 1 hunk to check";
const BASE: &str = "one\ntwo\nthree\n";
const EDITED: &str = "one\nbad\nthree\n";

/// A repository with one committed file and an edit of it on disk.
fn edited() -> (Repo, PathBuf) {
    let repo = Repo::new();
    repo.write("a.rs", BASE).commit().write("a.rs", EDITED);
    let path = repo.path("a.rs");
    (repo, path)
}

/// The document is shown as low, or as nothing.
async fn shows(client: &Client, path: &Path, low: bool) {
    client
        .until_diagnostics(path, "diagnostics", |_, all| all.len() == usize::from(low))
        .await;
    client.until_lens(path, low.then_some(LOW)).await;
}

/// Does something and waits for what it does to the document.
async fn then_shows(client: &Client, path: &Path, what: &str, low: bool, act: impl FnOnce()) {
    act();
    let begun = Instant::now();
    shows(client, path, low).await;
    println!("{what}: shown after {} ms", begun.elapsed().as_millis());
}

async fn open_edited(path: &Path) -> Client {
    let client = Client::start().await;
    client.open(path, EDITED);
    shows(&client, path, true).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_reset_and_amend() {
    let (repo, path) = edited();
    let client = open_edited(&path).await;
    let see = async |what: &str, low: bool, arguments: &[&str]| {
        then_shows(&client, &path, what, low, || drop(repo.git(arguments))).await;
    };
    see(
        "commit",
        false,
        &["commit", "--quiet", "--all", "--message=x"],
    )
    .await;
    see(
        "soft reset",
        true,
        &["reset", "--quiet", "--soft", "HEAD~1"],
    )
    .await;
    see(
        "commit on a new branch",
        false,
        &["commit", "--quiet", "--message=x"],
    )
    .await;
    // What is on disk is not what is in the buffer from here on; the base is what moves.
    repo.write("a.rs", "one\nother\nthree\n");
    let amend = ["commit", "--quiet", "--all", "--amend", "--message=y"];
    repo.git(&amend);
    client
        .until_lens(&path, Some(&format!("{LOW} · unsaved")))
        .await;
    repo.write("a.rs", EDITED);
    see("amend", false, &amend).await;
    repo.git(&["checkout", "--quiet", "-b", "feature/x"]);
    let reset = ["reset", "--quiet", "--soft", "HEAD~1"];
    see("reset on a new branch", true, &reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkout_stash_and_reset() {
    let (repo, path) = edited();
    repo.git(&["branch", "other/deep/name"]);
    let client = open_edited(&path).await;
    let see = async |what: &str, low: bool, arguments: &[&str]| {
        then_shows(&client, &path, what, low, || drop(repo.git(arguments))).await;
    };
    see(
        "commit",
        false,
        &["commit", "--quiet", "--all", "--message=x"],
    )
    .await;
    // The buffer stays as it is: an editor may not have read the file again yet.
    let unsaved = async |what: &str, arguments: &[&str]| {
        let begun = Instant::now();
        repo.git(arguments);
        client
            .until_lens(&path, Some(&format!("{LOW} · unsaved")))
            .await;
        println!("{what}: shown after {} ms", begun.elapsed().as_millis());
    };
    unsaved("checkout", &["checkout", "--quiet", "other/deep/name"]).await;
    see("checkout of main", false, &["checkout", "--quiet", "main"]).await;
    unsaved("hard reset", &["reset", "--quiet", "--hard", "HEAD~1"]).await;
    see(
        "checkout by id",
        false,
        &["checkout", "--quiet", "--detach", "HEAD@{1}"],
    )
    .await;
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("a.rs", EDITED);
    // Files of the work tree are not watched, so what git does must come last.
    repo.git(&["branch", "last"]);
    client.until_lens(&path, Some(LOW)).await;
    unsaved("stash", &["stash", "--quiet"]).await;
    repo.git(&["stash", "pop", "--quiet"]);
    client.until_lens(&path, Some(LOW)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebase_moves_the_base() {
    let repo = Repo::new();
    repo.write("a.rs", BASE).write("b.rs", "one\n").commit();
    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    for text in ["two\n", "three\n", "four\n"] {
        repo.write("b.rs", text).commit();
    }
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("a.rs", EDITED).commit();
    repo.git(&["checkout", "--quiet", "topic"]);
    let client = Client::start().await;
    let path = repo.path("a.rs");
    client.open(&path, EDITED);
    client
        .until_lens(&path, Some(&format!("{LOW} · unsaved")))
        .await;
    then_shows(&client, &path, "rebase", false, || {
        drop(repo.git(&["rebase", "--quiet", "main"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_work_tree_has_its_own_head_and_index() {
    let (main, main_path) = edited();
    let linked = Repo::at(main.linked_worktree("linked"));
    let path = linked.path("a.rs");
    linked.write("a.rs", EDITED);
    let client = open_edited(&main_path).await;
    client.open(&path, EDITED);
    shows(&client, &path, true).await;
    let commit = ["commit", "--quiet", "--all", "--message=x"];
    then_shows(&client, &path, "commit in a linked tree", false, || {
        drop(linked.git(&commit));
    })
    .await;
    shows(&client, &main_path, true).await;
    then_shows(
        &client,
        &main_path,
        "commit in the main tree",
        false,
        || {
            drop(main.git(&commit));
        },
    )
    .await;
    // Its ref is packed and lives in the folder that the work trees share.
    main.git(&["pack-refs", "--all"]);
    then_shows(&client, &path, "ref moved from elsewhere", true, || {
        drop(main.git(&["update-ref", "refs/heads/linked", "linked~1"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_made_anew_is_followed() {
    let (repo, path) = edited();
    let client = open_edited(&path).await;
    std::fs::remove_dir_all(repo.path(".git")).unwrap();
    client
        .until_diagnostics(&path, "none", |_, all| all.is_empty())
        .await;
    repo.git(&["init", "--quiet", "--initial-branch=new"]);
    repo.isolate();
    repo.write("a.rs", BASE).commit();
    repo.write("a.rs", EDITED);
    // Files of the work tree are not watched, so what git does must come last.
    repo.git(&["branch", "last"]);
    shows(&client, &path, true).await;
    then_shows(
        &client,
        &path,
        "commit in the new repository",
        false,
        || {
            repo.commit();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_branch_as_base_is_watched() {
    let (repo, path) = edited();
    repo.git(&["branch", "team/main"]);
    repo.write("diffidence.toml", "base = 'team/main'\n");
    repo.git(&["commit", "--quiet", "--all", "--message=x"]);
    let client = Client::start().await;
    client.open(&path, EDITED);
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    repo.git(&["update-ref", "refs/heads/team/main", "main"]);
    client
        .until_diagnostics(&path, "none", |_, all| all.is_empty())
        .await;
    repo.write("diffidence.toml", "base = 'main~1'\n");
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
}

/// `git status` writes the index anew when only times changed.
#[tokio::test(flavor = "multi_thread")]
async fn git_status_scores_nothing_again() {
    let (repo, path) = edited();
    let model = FakeModel::default();
    let client = Client::with(Setup {
        model: model.clone(),
        ..Setup::default()
    })
    .await;
    repo.write("b.rs", "one\n");
    repo.git(&["add", "b.rs"]);
    repo.git(&["commit", "--quiet", "--message=b", "b.rs"]);
    client.open(&path, EDITED);
    shows(&client, &path, true).await;
    let begun = model.begun.load(Ordering::SeqCst);
    let sent = client.inbox(|inbox| inbox.notifications.len());
    for second in 0..10 {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second);
        let touched = std::fs::File::options()
            .append(true)
            .open(repo.path("b.rs"));
        touched.unwrap().set_modified(time).unwrap();
        let before = repo.read(".git/index");
        repo.git_with(&["status"], &[("GIT_OPTIONAL_LOCKS", "1".as_ref())]);
        assert_ne!(before, repo.read(".git/index"), "the index is as it was");
    }
    // The watcher tells in order: once this is seen, so is everything before.
    repo.write("c.rs", "bad\n");
    let other = repo.path("c.rs");
    client.open(&other, "bad\n");
    client.until_lens(&other, Some(LOW)).await;
    repo.commit();
    shows(&client, &path, false).await;
    assert_eq!(model.begun.load(Ordering::SeqCst), begun + 1);
    let about_path = client.inbox(|inbox| {
        inbox.notifications[sent..]
            .iter()
            .filter(|(method, params)| {
                method == "textDocument/publishDiagnostics" && params["uri"] == uri(&path)
            })
            .count()
    });
    assert_eq!(about_path, 1, "only the commit was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_repository_is_left_alone_and_followed_again_when_opened() {
    let (repo, path) = edited();
    let client = open_edited(&path).await;
    client.close(&path);
    client
        .until_diagnostics(&path, "cleared", |_, all| all.is_empty())
        .await;
    client.open(&path, EDITED);
    shows(&client, &path, true).await;
    then_shows(&client, &path, "commit after opening again", false, || {
        repo.commit();
    })
    .await;
    let latest: Option<(i64, Vec<Value>)> =
        client.inbox(|inbox| latest_diagnostics(inbox, &uri(&path)));
    assert_eq!(json!(latest.unwrap().1), json!([]));
}
