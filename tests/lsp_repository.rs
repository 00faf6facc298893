//! What counts for a repository as a whole: its base and the description of what it is changed for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::path::PathBuf;
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup, uri};

const BASE: &str = "one\ntwo\nthree\n";
const EDITED: &str = "one\nbad\nthree\n";
const LOW: &str = "12% likely correct · 1 hunk to check";

fn edited() -> (Repo, PathBuf) {
    let repo = Repo::new();
    repo.write("a.rs", BASE).commit().write("a.rs", EDITED);
    let path = repo.path("a.rs");
    (repo, path)
}

async fn client_of(model: &FakeModel) -> Client {
    Client::with(Setup {
        model: model.clone(),
        ..Setup::default()
    })
    .await
}

fn tasks(model: &FakeModel) -> Vec<Option<String>> {
    model.tasks.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_told_to_the_model_and_shown() {
    let (repo, path) = edited();
    let model = FakeModel::default();
    let client = client_of(&model).await;
    client.open(&path, EDITED);
    client.until_lens(&path, Some(LOW)).await;
    let root = repo.root().to_str().unwrap();

    let params = json!({"task": " mend it\n", "textDocument": {"uri": uri(&path)}});
    let set = client.request("diffidence/setTask", params).await;
    assert_eq!(set, json!({"root": root, "task": "mend it"}));
    let with_task = format!("{LOW} · with task");
    client.until_lens(&path, Some(&with_task)).await;
    assert_eq!(tasks(&model), [None, Some("mend it".into())]);

    // One that is opened later has it too.
    repo.write("b.rs", "bad\n");
    let other = repo.path("b.rs");
    client.open(&other, "bad\n");
    client.until_lens(&other, Some(&with_task)).await;

    let command =
        |arguments: Value| json!({"command": "diffidence.setTask", "arguments": arguments});
    let run = "workspace/executeCommand";
    let set = client.request(run, command(json!([{"task": null}]))).await;
    assert_eq!(set, json!({"root": root, "task": null}));
    client.until_lens(&path, Some(LOW)).await;
    client.until_lens(&other, Some(LOW)).await;
    // What was scored without a task is remembered.
    let told = tasks(&model);
    assert_eq!(told[2..], [Some("mend it".into()), None]);

    let arguments = json!([{"task": "x", "root": repo.root()}]);
    client.request(run, command(arguments)).await;
    client.until_lens(&path, Some(&with_task)).await;
    let answer = client.ask(run, command(json!([3]))).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_say_the_task_until_a_client_does() {
    let (repo, path) = edited();
    repo.write("TASK.md", "from the file\n");
    repo.write("diffidence.toml", "taskFile = 'TASK.md'\n");
    let model = FakeModel::default();
    let client = client_of(&model).await;
    client.open(&path, EDITED);
    let with_task = format!("{LOW} · with task");
    client.until_lens(&path, Some(&with_task)).await;
    let params = json!({"task": "from the client"});
    client.request("diffidence/setTask", params).await;
    client
        .until("a second score", |_| {
            (tasks(&model).len() == 2).then_some(())
        })
        .await;
    client.until_lens(&path, Some(&with_task)).await;
    assert_eq!(
        tasks(&model),
        [
            Some("from the file\n".into()),
            Some("from the client".into())
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_counts_for_its_repository_only() {
    let (one, first) = edited();
    let (_two, second) = edited();
    let client = Client::start().await;
    client.open(&first, EDITED);
    client.open(&second, EDITED);
    client.until_lens(&first, Some(LOW)).await;
    client.until_lens(&second, Some(LOW)).await;
    let answer = client.ask("diffidence/setTask", json!({"task": "x"})).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("several repositories"), "{message}");
    let root = uri(one.root());
    let params = json!({"task": "x", "root": root});
    client.request("diffidence/setTask", params).await;
    client
        .until_lens(&first, Some(&format!("{LOW} · with task")))
        .await;
    assert_eq!(client.lens(&second).await.as_deref(), Some(LOW));
    let params = json!({"task": "x", "root": one.beside("")});
    let answer = client.ask("diffidence/setTask", params).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("not inside a git repository"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_given_before_anything_is_open_counts() {
    let (repo, path) = edited();
    let model = FakeModel::default();
    let client = client_of(&model).await;
    let answer = client.ask("diffidence/setTask", json!({"task": "x"})).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("name a `textDocument`"), "{message}");
    let params = json!({"task": "x", "root": repo.root()});
    client.request("diffidence/setTask", params).await;
    client.open(&path, EDITED);
    client
        .until_lens(&path, Some(&format!("{LOW} · with task")))
        .await;
    assert_eq!(tasks(&model), [Some("x".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_is_shown_when_it_is_not_head() {
    let (repo, path) = edited();
    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    repo.write("b.rs", "bad\n").commit();
    repo.write("a.rs", "one\nbad\nworse\n");
    let text = "one\nbad\nworse\n";
    let other = repo.path("b.rs");
    let client = Client::start().await;
    client.open(&path, text);
    client.open(&other, "bad\n");
    let good = "87% likely correct · nothing to check";
    client.until_lens(&path, Some(good)).await;
    assert_eq!(client.lens(&other).await, None);
    for (base, shown) in [
        ("main", "main"),
        ("merge-base:main", "the merge base with main"),
    ] {
        repo.write("diffidence.toml", format!("base = '{base}'\n"));
        let expected = format!("{LOW} · against {shown}");
        client.until_lens(&path, Some(&expected)).await;
        client.until_lens(&other, Some(&expected)).await;
    }
    repo.write("diffidence.toml", "base = 'index'\n");
    client
        .until_lens(&path, Some(&format!("{good} · against the index")))
        .await;
    repo.git(&["add", "a.rs"]);
    client.until_lens(&path, None).await;
    repo.write("diffidence.toml", "base = 'HEAD'\n");
    client.until_lens(&path, Some(good)).await;
}
