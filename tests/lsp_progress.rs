//! Work done progress: only for work that takes long, and it can be cancelled.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Inbox, Setup};

const CREATE: &str = "window/workDoneProgress/create";
const LOW: &str = "12% likely correct · 1 hunk to check · unsaved";

struct Bench {
    repo: Repo,
    model: FakeModel,
    client: Client,
}

async fn bench(setup: Setup) -> Bench {
    let repo = Repo::new();
    repo.write("base", "one\n").commit();
    Bench {
        repo,
        model: setup.model.clone(),
        client: Client::with(setup).await,
    }
}

fn shows() -> Setup {
    Setup {
        progress: true,
        ..Setup::default()
    }
}

/// The `value`s of all progress notifications of a kind.
fn said(inbox: &Inbox, kind: &str) -> Vec<Value> {
    let values = inbox
        .notifications
        .iter()
        .filter(|(method, params)| method == "$/progress" && params["value"]["kind"] == kind);
    values.map(|(_, params)| params["value"].clone()).collect()
}

impl Bench {
    fn open(&self, name: &str, text: &str) -> PathBuf {
        let path = self.repo.path(name);
        self.client.open(&path, text);
        path
    }

    async fn until_said(&self, kind: &str) -> Value {
        self.client
            .until(kind, |inbox| said(inbox, kind).pop())
            .await
    }

    async fn token(&self) -> Value {
        self.client
            .until("create", |inbox| {
                let request = inbox.requests.iter().rfind(|(method, _)| method == CREATE);
                request.map(|(_, params)| params["token"].clone())
            })
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_work_is_shown_from_begin_to_end() {
    let bench = bench(shows()).await;
    let one = bench.open("1.rs", "slow bad 1\n");
    let two = bench.open("2.rs", "slow bad 2\n");
    let begin = bench.until_said("begin").await;
    assert_eq!(begin["title"], "Scoring changes");
    assert_eq!(begin["cancellable"], true);
    assert_eq!(begin["message"], "0 of 2 files");
    assert_eq!(begin["percentage"], 0);
    bench.model.release.store(true, Ordering::SeqCst);
    bench.until_said("end").await;
    bench.client.until_lens(&one, Some(LOW)).await;
    bench.client.until_lens(&two, Some(LOW)).await;
    bench.client.inbox(|inbox| {
        assert_eq!(said(inbox, "begin").len(), 1);
        assert_eq!(said(inbox, "report")[0]["message"], "1 of 2 files");
        assert_eq!(said(inbox, "report")[0]["percentage"], 50);
        assert_eq!(said(inbox, "end").len(), 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_that_were_read_are_shown() {
    let bench = bench(shows()).await;
    bench.open("1.rs", "slow counted 1\n");
    bench.open("2.rs", "slow counted 2\n");
    let report = bench.until_said("report").await;
    assert_eq!(report["message"], "0 of 2 files · 50 of 200 tokens");
    assert_eq!(report["percentage"], 12);
    bench.model.release.store(true, Ordering::SeqCst);
    bench.until_said("end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_work_and_clients_without_progress_are_left_alone() {
    let quick = bench(shows()).await;
    quick.model.release.store(true, Ordering::SeqCst);
    for name in ["1.rs", "2.rs", "3.rs"] {
        let path = quick.open(name, "bad\n");
        quick.client.until_lens(&path, Some(LOW)).await;
    }
    let without = bench(Setup::default()).await;
    let path = without.open("1.rs", "slow bad\n");
    without.client.until_lens(&path, Some("scoring…")).await;
    // By the time that another client is asked, this one would have been.
    let with = bench(shows()).await;
    with.open("1.rs", "slow bad\n");
    with.token().await;
    for client in [&quick.client, &without.client] {
        client.inbox(|inbox| assert!(inbox.requests.iter().all(|(method, _)| method != CREATE)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_takes_back_what_runs_and_what_waits_until_an_edit_or_a_save() {
    let bench = bench(shows()).await;
    let client = &bench.client;
    let paths = ["1.rs", "2.rs", "3.rs"].map(|name| bench.open(name, "slow bad\n"));
    bench.until_said("begin").await;
    let cancel = "window/workDoneProgress/cancel";
    client.notify(cancel, json!({"token": "another"}));
    let token = bench.token().await;
    client.notify(cancel, json!({"token": token}));
    for path in &paths {
        let cancelled = Some("not scored: cancelled");
        client.until_lens(path, cancelled).await;
    }
    bench.until_said("end").await;
    bench.model.release.store(true, Ordering::SeqCst);
    // What happens elsewhere does not bring it back.
    bench.repo.write("b", "1\n").commit();
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": []}));
    client.save(&paths[0]);
    client.change(&paths[1], 2, "slow bad 2\n");
    let low = "12% likely correct · 1 hunk to check · unsaved";
    client.until_lens(&paths[0], Some(low)).await;
    client.until_lens(&paths[1], Some(low)).await;
    assert_eq!(
        client.lens(&paths[2]).await.as_deref(),
        Some("not scored: cancelled")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_answers_holds_up_nothing() {
    let bench = bench(Setup {
        answers: false,
        ..shows()
    })
    .await;
    let path = bench.open("1.rs", "slow bad\n");
    bench.token().await;
    bench.model.release.store(true, Ordering::SeqCst);
    bench.client.until_lens(&path, Some(LOW)).await;
    bench
        .client
        .inbox(|inbox| assert!(said(inbox, "begin").is_empty()));
    bench.client.goodbye().await;
}
