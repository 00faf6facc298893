//! What the model cannot judge is said wherever a score would stand, and never as one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup, uri};

const WHY: &str = "the model was not trained on Haskell";

fn model() -> FakeModel {
    FakeModel {
        languages: vec!["rust".into()],
        ..FakeModel::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_cannot_judge_is_said_everywhere() {
    let repo = Repo::new();
    repo.write("Main.hs", "x = 1\n").write("a.rs", "one\n");
    repo.commit();
    let text = "x = 1\nbad = 2\n";
    repo.write("Main.hs", text);
    let path = repo.path("Main.hs");
    let model = model();
    let client = Client::with(Setup {
        model: model.clone(),
        initialization_options: json!({"inlayHints": true}),
        ..Setup::default()
    })
    .await;
    client.open(&path, text);
    let lens = format!("cannot judge: {WHY}");
    client.until_lens(&path, Some(&lens)).await;

    let document = json!({"uri": uri(&path)});
    let at = json!({"line": 1, "character": 0});
    let hover = client
        .request(
            "textDocument/hover",
            json!({"textDocument": document, "position": at}),
        )
        .await;
    let hover = hover["contents"]["value"].as_str().unwrap();
    let said = hover.replace('*', "");
    assert!(
        said.starts_with(&format!("Cannot judge: {WHY}\n")),
        "{hover}"
    );
    assert!(!hover.contains('%'), "{hover}");

    let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 0}});
    let asked = json!({"textDocument": document, "range": range});
    let hints = client.request("textDocument/inlayHint", asked).await;
    assert_eq!(hints, json!([]));

    let asked = json!({"textDocument": document, "range": {"start": at, "end": at},
        "context": {"diagnostics": []}});
    let actions = client.request("textDocument/codeAction", asked).await;
    let titles: Vec<&str> = actions
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action["title"].as_str().unwrap())
        .collect();
    assert!(titles.contains(&"Revert hunk to base"), "{titles:?}");
    assert!(
        !titles.iter().any(|title| title.starts_with("Mark")),
        "{titles:?}"
    );

    let place = json!({"root": repo.root()});
    let changes = client.request("diffidence/changes", place.clone()).await;
    let counts = ["scored", "abstained", "skipped", "failed"].map(|name| changes[name].clone());
    assert_eq!(counts, [0, 1, 0, 0].map(Value::from));
    assert_eq!(changes["complete"], true);
    let file = &changes["files"][0];
    assert_eq!(
        (&file["state"], &file["reason"]),
        (&json!("abstained"), &json!(WHY))
    );
    assert!(file.get("probability").is_none());
    assert!(file["hunks"][0].get("probability").is_none());
    assert_eq!(file["hunks"][0]["low"], false);

    let command = json!({"command": "diffidence.workspaceScore", "arguments": [place]});
    let whole = client.request("workspace/executeCommand", command).await;
    assert_eq!(
        (&whole["probability"], &whole["abstained"]),
        (&Value::Null, &json!(WHY))
    );

    // Nobody was asked.
    assert_eq!(model.begun.load(Ordering::SeqCst), 0);
    let published = client.inbox(|inbox| {
        let all = inbox.notifications.iter();
        all.filter(|(name, _)| name == "textDocument/publishDiagnostics")
            .all(|(_, params)| params["diagnostics"] == json!([]))
    });
    assert!(published);
}

#[tokio::test(flavor = "multi_thread")]
async fn prose_beside_code_leaves_the_whole_its_score() {
    let repo = Repo::new();
    repo.write("README.md", "one\n").write("a.rs", "one\n");
    repo.commit();
    repo.write("README.md", "bad\n").write("a.rs", "fine\n");
    let client = Client::with(Setup {
        model: model(),
        ..Setup::default()
    })
    .await;
    let place = json!({"root": repo.root()});
    let command = json!({"command": "diffidence.workspaceScore", "arguments": [place]});
    let whole = client.request("workspace/executeCommand", command).await;
    assert!(whole["probability"].is_f64(), "{whole}");
    assert!(whole.get("abstained").is_none());
    // The low hunk is one that the model cannot judge.
    assert_eq!(whole["low_hunks"], 0);
}
