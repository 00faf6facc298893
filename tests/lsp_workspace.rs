//! All changes of a repository as one, the off switch, and what the status says about them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Inbox, Setup, uri};

const BAD: &str = "12% likely correct · 1 hunk to check";

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("a.rs", "one\n").write("b.rs", "one\n").commit();
    repo
}

async fn client_of(model: &FakeModel, workspace_score: bool) -> Client {
    Client::with(Setup {
        model: model.clone(),
        initialization_options: json!({"debounceMs": 1, "workspaceScore": workspace_score}),
        ..Setup::default()
    })
    .await
}

fn command(arguments: Value) -> Value {
    json!({"command": "diffidence.workspaceScore", "arguments": arguments})
}

fn latest(inbox: &Inbox, method: &str) -> Option<Value> {
    let found = inbox.notifications.iter().rfind(|(name, _)| name == method);
    found.map(|(_, params)| params.clone())
}

async fn until_told(client: &Client, files: u64, low: u64) -> Value {
    client
        .until("workspace score", |inbox| {
            let score = latest(inbox, "diffidence/workspaceScore")?;
            (score["files"] == files && score["low_hunks"] == low).then_some(score)
        })
        .await
}

async fn until_status(client: &Client, state: &str) {
    client
        .until(state, |inbox| {
            let status = latest(inbox, "diffidence/status")?;
            (status["state"] == state).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_scores_all_changed_files_as_one() {
    let repo = repository();
    repo.write("a.rs", "bad\n").write("b.rs", "fine\n");
    let model = FakeModel::default();
    let client = client_of(&model, false).await;
    let run = "workspace/executeCommand";
    let answer = client.ask(run, command(json!([]))).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("name a `textDocument`"), "{message}");

    let place = json!([{"root": repo.root()}]);
    let score = client.request(run, command(place.clone())).await;
    assert_eq!(score["root"], repo.root().to_str().unwrap());
    assert_eq!(score["files"], 2);
    assert_eq!(score["low_hunks"], 1);
    let probability = score["probability"].as_f64().unwrap();
    assert!((probability - 0.119).abs() < 0.001, "{probability}");
    let base = score["base"].as_str().unwrap();
    assert!(base.starts_with("HEAD ("), "{base}");
    assert_eq!(model.begun.load(Ordering::SeqCst), 1);
    client.request(run, command(place)).await;
    assert_eq!(model.begun.load(Ordering::SeqCst), 1, "it is remembered");

    // A buffer that is not saved wins over the disk, here as in its own score.
    let path = repo.path("a.rs");
    client.open(&path, "fine\n");
    let unsaved = "87% likely correct · nothing to check · unsaved";
    client.until_lens(&path, Some(unsaved)).await;
    let place = json!([{"textDocument": {"uri": uri(&path)}}]);
    let score = client.request(run, command(place)).await;
    assert_eq!(
        (&score["files"], &score["low_hunks"]),
        (&json!(2), &json!(0))
    );
    client.change(&path, 2, "one\n");
    client.until_lens(&path, None).await;
    let score = client.request(run, command(json!([]))).await;
    assert_eq!(
        (&score["files"], &score["low_hunks"]),
        (&json!(1), &json!(0))
    );
    let none = client.inbox(|inbox| latest(inbox, "diffidence/workspaceScore"));
    assert_eq!(none, None, "nobody asked for notifications");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_list_has_the_notification_without_an_open_file() {
    let repo = repository();
    repo.write("a.rs", "bad\n").write("b.rs", "poor\n");
    let client = client_of(&FakeModel::default(), true).await;
    let watch = json!({"root": repo.root(), "watch": true});
    client.request("diffidence/changes", watch).await;
    until_told(&client, 2, 2).await;
    repo.commit();
    until_told(&client, 0, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notification_follows_what_happens() {
    let repo = repository();
    repo.write("a.rs", "bad\n").write("b.rs", "poor\n");
    let client = client_of(&FakeModel::default(), true).await;
    let path = repo.path("a.rs");
    client.open(&path, "bad\n");
    until_told(&client, 2, 2).await;
    client.change(&path, 2, "fine\n");
    until_told(&client, 2, 1).await;
    repo.commit();
    client.change(&path, 3, "bad\n");
    let score = until_told(&client, 0, 0).await;
    assert_eq!(score["probability"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_before_the_whole() {
    let repo = repository();
    repo.write("b.rs", "slow bad\n");
    let model = FakeModel::default();
    let client = client_of(&model, true).await;
    client.open(&repo.path("a.rs"), "one\n");
    // The whole is being scored, and would be for good.
    until_status(&client, "scoring").await;
    let path = repo.path("c.rs");
    repo.write("c.rs", "bad\n");
    client.open(&path, "bad\n");
    client.until_lens(&path, Some(BAD)).await;
    model.release.store(true, Ordering::SeqCst);
    until_told(&client, 2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turned_off_it_scores_nothing_and_says_so() {
    let repo = repository();
    repo.write("a.rs", "bad\n");
    let path = repo.path("a.rs");
    let model = FakeModel::default();
    let client = client_of(&model, true).await;
    client.open(&path, "bad\n");
    client.until_lens(&path, Some(BAD)).await;
    let set = |enable: bool| {
        let settings = json!({"settings": {"diffidence": {"enable": enable}}});
        client.notify("workspace/didChangeConfiguration", settings);
    };
    set(false);
    until_status(&client, "off").await;
    client.until_lens(&path, None).await;
    client
        .until_diagnostics(&path, "cleared", |_, all| all.is_empty())
        .await;
    let begun = model.begun.load(Ordering::SeqCst);
    client.change(&path, 2, "another bad\n");
    assert_eq!(client.lens(&path).await, None);
    let answer = client
        .ask("workspace/executeCommand", command(json!([])))
        .await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("`enable`"), "{message}");
    assert_eq!(model.begun.load(Ordering::SeqCst), begun);
    set(true);
    client
        .until_lens(&path, Some(&format!("{BAD} · unsaved")))
        .await;
    until_status(&client, "idle").await;
}
