//! The list of all changed files of a repository, open or not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup, uri};

const CHANGES: &str = "diffidence/changes";

async fn client_of(model: &FakeModel, options: Value) -> Client {
    Client::with(Setup {
        model: model.clone(),
        initialization_options: options,
        ..Setup::default()
    })
    .await
}

/// Asks, each time the server says that the answer is another one, until it is as wanted.
async fn until(
    client: &Client,
    place: &Value,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let mut told = 0;
    loop {
        let changes = client.request(CHANGES, place.clone()).await;
        if wanted(&changes) {
            return changes;
        }
        told = client
            .until(what, |inbox| {
                let news = |(name, _): &&(String, Value)| name == "diffidence/changesChanged";
                let count = inbox.notifications.iter().filter(news).count();
                (count > told).then_some(count)
            })
            .await;
    }
}

fn is_complete(changes: &Value) -> bool {
    changes["complete"] == true
}

/// Path, state, and probability in percent of each file.
fn brief(changes: &Value) -> Vec<String> {
    let files = changes["files"].as_array().unwrap();
    let line = |file: &Value| {
        let probability = file["probability"].as_f64();
        let percent = probability.map_or(String::new(), |p| format!(" {:.0}%", p * 100.0));
        let reason = file["reason"].as_str().unwrap_or_default();
        let (path, state) = (
            file["path"].as_str().unwrap(),
            file["state"].as_str().unwrap(),
        );
        format!("{path}: {state}{percent} {reason}")
            .trim_end()
            .to_owned()
    };
    files.iter().map(line).collect()
}

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("a.rs", "one\n")
        .write("b c.rs", "one\n")
        .write("gone.rs", "only here\n")
        .commit();
    repo.write("a.rs", "one\nbad\n\tfine\n")
        .write("b c.rs", "fine\n");
    repo.write("new.rs", "poor\n")
        .write("Cargo.lock", "x\n")
        .remove("gone.rs");
    repo
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_file_is_listed_and_scored_without_being_open() {
    let repo = repository();
    let model = FakeModel::default();
    let client = client_of(&model, json!({})).await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = until(&client, &place, "all files", is_complete).await;
    assert_eq!(
        brief(&changes),
        [
            "Cargo.lock: skipped lock file",
            "a.rs: scored 12%",
            "b c.rs: scored 87%",
            "gone.rs: scored 87%",
            "new.rs: scored 27%",
        ]
    );
    let counts = ["scored", "waiting", "postponed", "skipped", "failed"].map(|key| &changes[key]);
    assert_eq!(
        counts,
        [&json!(4), &json!(0), &json!(0), &json!(1), &json!(0)]
    );
    assert!(changes["base"].as_str().unwrap().starts_with("HEAD ("));
    let file = &changes["files"][1];
    assert_eq!(file["uri"], uri(&repo.path("a.rs")));
    assert_eq!(file["status"], "modified");
    let hunk = &file["hunks"][0];
    let place = ["line", "endLine", "added", "removed"].map(|key| hunk[key].as_u64().unwrap());
    assert_eq!(place, [1, 2, 2, 0]);
    assert_eq!(
        (&hunk["low"], &hunk["ignored"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(hunk["preview"], "bad");
    assert_eq!(changes["files"][3]["status"], "deleted");
    assert_eq!(model.begun.load(Ordering::SeqCst), 4);

    client.request(CHANGES, json!({"root": repo.root()})).await;
    assert_eq!(model.begun.load(Ordering::SeqCst), 4, "all is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_is_told_of_commits_edits_and_scores() {
    let repo = repository();
    let client = client_of(&FakeModel::default(), json!({"debounceMs": 1})).await;
    let place = json!({"root": repo.root(), "watch": true});
    until(&client, &place, "all files", is_complete).await;

    let path = repo.path("a.rs");
    client.open(&path, "one\nfine\n");
    let is_fine = |changes: &Value| brief(changes).contains(&"a.rs: scored 87%".to_owned());
    until(&client, &place, "the open file's score", is_fine).await;

    repo.commit();
    // Now it takes the committed line `bad` away, and the model frowns at that word.
    let only_open = |changes: &Value| brief(changes) == ["a.rs: scored 12%"];
    until(&client, &place, "the commit", only_open).await;

    // What is closed without being saved is as on disk again: committed.
    client.close(&path);
    client.notify(
        "workspace/didChangeWatchedFiles",
        json!({"changes": [{"uri": uri(&path), "type": 2}]}),
    );
    until(&client, &place, "nothing", |changes| {
        brief(changes).is_empty()
    })
    .await;

    repo.write("b c.rs", "bad\n");
    client.notify(
        "workspace/didChangeWatchedFiles",
        json!({"changes": [{"uri": uri(&repo.path("b c.rs")), "type": 2}]}),
    );
    let is_bad = |changes: &Value| brief(changes) == ["b c.rs: scored 12%"];
    until(&client, &place, "a file written on disk", is_bad).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recent_is_scored_first_and_what_is_open_before_that() {
    let repo = Repo::new();
    for name in ["a.rs", "b.rs", "c.rs", "open.rs"] {
        repo.write(name, "one\n");
    }
    repo.commit();
    let now = SystemTime::now();
    for (age, name) in [(30, "a.rs"), (10, "b.rs"), (20, "c.rs")] {
        repo.write(name, format!("slow {name}\n"));
        let file = std::fs::File::options()
            .write(true)
            .open(repo.path(name))
            .unwrap();
        file.set_modified(now - Duration::from_secs(age)).unwrap();
    }
    let model = FakeModel::default();
    let client = client_of(&model, json!({"debounceMs": 1})).await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = client.request(CHANGES, place.clone()).await;
    assert_eq!(
        brief(&changes),
        ["a.rs: waiting", "b.rs: waiting", "c.rs: waiting"]
    );
    until_begun(&model, 1).await;
    // The open file takes the place of what runs, and is done first.
    client.open(&repo.path("open.rs"), "bad\n");
    client
        .until_lens(
            &repo.path("open.rs"),
            Some("12% likely correct · 1 hunk to check · unsaved"),
        )
        .await;
    model.release.store(true, Ordering::SeqCst);
    let is_all = |changes: &Value| is_complete(changes) && changes["scored"] == 4;
    until(&client, &place, "all files", is_all).await;
    let read = model.read.lock().unwrap().clone();
    assert_eq!(read, ["b.rs", "open.rs", "b.rs", "c.rs", "a.rs"]);
}

async fn until_begun(model: &FakeModel, count: usize) {
    let begun = async {
        while model.begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), begun)
        .await
        .expect("scoring begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_time_does_not_suffice_for_is_put_off_until_more_is_asked_for() {
    let repo = repository();
    let client = client_of(
        &FakeModel::default(),
        json!({"backgroundSeconds": 0, "debounceMs": 1}),
    )
    .await;
    let path = repo.path("a.rs");
    client.open(&path, "one\nbad\n\tfine\n");
    client
        .until_lens(&path, Some("12% likely correct · 1 hunk to check"))
        .await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = client.request(CHANGES, place.clone()).await;
    assert_eq!(
        brief(&changes),
        [
            "Cargo.lock: skipped lock file",
            "a.rs: scored 12%",
            "b c.rs: postponed",
            "gone.rs: postponed",
            "new.rs: postponed",
        ]
    );
    assert_eq!(
        (&changes["complete"], &changes["postponed"]),
        (&json!(false), &json!(3))
    );
    client.notify(
        "workspace/didChangeConfiguration",
        json!({"settings": {"diffidence": {"backgroundSeconds": 30}}}),
    );
    let is_renewed = |changes: &Value| changes["postponed"] == 3;
    until(&client, &place, "the new settings", is_renewed).await;
    let more = json!({"root": repo.root(), "more": true});
    let is_more = |changes: &Value| changes["postponed"] == 0;
    let changes = client.request(CHANGES, more).await;
    assert!(is_more(&changes), "{changes}");
    until(&client, &place, "all files", is_complete).await;
}

/// Some editors start with what they are told to do before they are told how.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_scored_before_the_settings_are_known() {
    let repo = repository();
    let client = Client::with(Setup {
        settings: Some(json!({"backgroundSeconds": 0})),
        settings_delay: Duration::from_millis(300),
        ..Setup::default()
    })
    .await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = client.request(CHANGES, place).await;
    assert_eq!(changes["postponed"], 4, "{changes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_more_gets_it_although_the_settings_give_no_time() {
    let repo = repository();
    let client = client_of(&FakeModel::default(), json!({"backgroundSeconds": 0})).await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = client.request(CHANGES, place.clone()).await;
    assert_eq!(changes["postponed"], 4);
    let more = json!({"root": repo.root(), "more": true});
    client.request(CHANGES, more).await;
    until(&client, &place, "all files", is_complete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_more_while_the_list_is_renewed_gets_it() {
    let repo = repository();
    let client = client_of(&FakeModel::default(), json!({"backgroundSeconds": 0})).await;
    let place = json!({"root": repo.root(), "watch": true});
    client.request(CHANGES, place.clone()).await;
    let path = repo.path("b c.rs");
    client.notify(
        "workspace/didChangeWatchedFiles",
        json!({"changes": [{"uri": uri(&path), "type": 2}]}),
    );
    let more = json!({"root": repo.root(), "more": true});
    client.request(CHANGES, more).await;
    until(&client, &place, "all files", is_complete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hunks_of_files_that_are_not_open_are_ignored_and_marked() {
    let repo = repository();
    let client = client_of(&FakeModel::default(), json!({})).await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = until(&client, &place, "all files", is_complete).await;
    let file = &changes["files"][1];
    let run = |command: &str, arguments: Value| {
        client.request(
            "workspace/executeCommand",
            json!({"command": command, "arguments": arguments}),
        )
    };
    let hunk = &file["hunks"][0]["id"];
    run("diffidence.mark", json!([file["uri"], "wrong", hunk])).await;
    run("diffidence.ignoreHunk", json!([file["uri"], hunk])).await;
    let is_ignored = |changes: &Value| {
        let hunk = &changes["files"][1]["hunks"][0];
        (&hunk["ignored"], &hunk["low"]) == (&json!(true), &json!(false))
    };
    until(&client, &place, "the ignored hunk", is_ignored).await;
    let diff = run("diffidence.showDiff", json!([file["uri"]])).await;
    assert!(diff["diff"].as_str().unwrap().contains("+bad"), "{diff}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listed_is_said() {
    let client = client_of(&FakeModel::default(), json!({})).await;
    let check = async |params: Value, expected: &str| {
        let answer = client.ask(CHANGES, params).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    };
    check(json!({}), "name a `textDocument`").await;
    check(
        json!({"root": "here"}),
        "neither a file URI nor an absolute path",
    )
    .await;
    let outside = tempfile::tempdir().unwrap();
    check(
        json!({"root": outside.path()}),
        "not inside a git repository",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_changed_files_do_not_hold_up_the_open_one() {
    const FILES: usize = 2_000;
    let repo = Repo::new();
    repo.write("open.rs", "one\n").commit();
    for index in 0..FILES {
        repo.write(
            &format!("folder{}/{index}.rs", index % 40),
            format!("slow {index}\n"),
        );
    }
    let model = FakeModel::default();
    let client = client_of(&model, json!({"debounceMs": 1})).await;
    let place = json!({"root": repo.root(), "watch": true});
    let changes = client.request(CHANGES, place.clone()).await;
    assert_eq!(changes["waiting"], FILES);
    until_begun(&model, 1).await;
    let path = repo.path("open.rs");
    client.open(&path, "bad\n");
    let shown = "12% likely correct · 1 hunk to check · unsaved";
    client.until_lens(&path, Some(shown)).await;
    let changes = client.request(CHANGES, place.clone()).await;
    assert_eq!(
        changes["waiting"], FILES,
        "none of them is done, and none is forgotten"
    );
    model.release.store(true, Ordering::SeqCst);
    let is_all = |changes: &Value| is_complete(changes) && changes["scored"] == FILES + 1;
    until(&client, &place, "all files", is_all).await;
}
