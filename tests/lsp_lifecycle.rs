//! How the server ends, and that nothing keeps it from ending.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use diffidence::server::Ending;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup};

/// Within this the server must have ended; the tests wait longer so that they can say so.
const LIMIT: Duration = Duration::from_secs(2);

/// A client whose server computes for ever and cannot be interrupted, with more work waiting.
async fn busy(process_id: Option<u32>) -> (Client, FakeModel, Repo) {
    let repo = Repo::new();
    repo.write("a.rs", "line\n").commit();
    let model = FakeModel::default();
    let client = Client::with(Setup {
        model: model.clone(),
        process_id,
        ..Setup::default()
    })
    .await;
    let path = repo.path("a.rs");
    client.open(&path, "deaf\n");
    client.until_lens(&path, Some("scoring…")).await;
    for name in ["b.rs", "c.rs", "d.rs"] {
        let path = repo.path(name);
        client.open(&path, "deaf\n");
        client.until_lens(&path, Some("scoring…")).await;
    }
    client
        .until("scoring", |inbox| {
            inbox.notifications.iter().find_map(|(method, params)| {
                (method == "diffidence/status" && params["state"] == "scoring").then_some(())
            })
        })
        .await;
    (client, model, repo)
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_and_exit_end_it_with_four_slow_jobs() {
    let (client, model, _repo) = busy(None).await;
    let begun = Instant::now();
    assert_eq!(client.goodbye().await, Ending::Exit { clean: true });
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    model.release.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_alone_is_an_unclean_end() {
    let mut client = Client::start().await;
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().await, Ending::Exit { clean: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_ends_it_during_inference() {
    let (mut client, model, _repo) = busy(None).await;
    let begun = Instant::now();
    client.vanish().await;
    assert_eq!(client.ended().await, Ending::ClientGone);
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    model.release.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_client_process_ends_it_although_the_connection_stands() {
    let mut editor = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let (mut client, model, _repo) = busy(Some(editor.id())).await;
    drop(editor.stdin.take());
    editor.wait().unwrap();
    let begun = Instant::now();
    assert_eq!(client.ended().await, Ending::ClientGone);
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    model.release.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_process_that_cannot_be_seen_does_not_end_it() {
    // As with an editor in another container: process numbers end far below this.
    let client = Client::with(Setup {
        process_id: Some(i32::MAX as u32),
        ..Setup::default()
    })
    .await;
    let answer = client
        .ask("diffidence/text", json!({"uri": "file:///x"}))
        .await;
    assert_eq!(answer["result"], Value::Null);
    assert_eq!(client.goodbye().await, Ending::Exit { clean: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_after_shutdown_are_refused() {
    let mut client = Client::start().await;
    client.request("shutdown", Value::Null).await;
    let answer = client
        .ask("diffidence/text", json!({"uri": "file:///x"}))
        .await;
    assert!(answer.get("error").is_some(), "{answer}");
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().await, Ending::Exit { clean: true });
}
