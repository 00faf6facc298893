//! What clients ask for: diagnostics by request, and inlay hints.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::Repo;
use support::lsp::{Client, Inbox, Setup, uri};

const LOW: &str = "12% likely correct · 1 hunk to check";

async fn client_of(pulls_diagnostics: bool, inlay_hints: bool) -> Client {
    Client::with(Setup {
        pulls_diagnostics,
        initialization_options: json!({"debounceMs": 1, "inlayHints": inlay_hints}),
        ..Setup::default()
    })
    .await
}

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("a.rs", "one\ntwo\n").commit();
    repo.write("a.rs", "one\nbad 🦀 line\n");
    repo
}

fn refreshes(inbox: &Inbox, method: &str) -> usize {
    inbox
        .requests
        .iter()
        .filter(|(name, _)| name == method)
        .count()
}

async fn report(client: &Client, path: &std::path::Path, previous: Option<&Value>) -> Value {
    let document = json!({"uri": uri(path)});
    let mut params = json!({"textDocument": document, "identifier": "diffidence"});
    if let Some(previous) = previous {
        params["previousResultId"] = previous.clone();
    }
    client.request("textDocument/diagnostic", params).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_can_be_told_to_ask_again_asks_for_diagnostics() {
    let repo = repository();
    let path = repo.path("a.rs");
    let client = client_of(true, false).await;
    assert_eq!(
        client.capabilities["diagnosticProvider"]["identifier"],
        "diffidence"
    );
    client.open(&path, "one\nbad 🦀 line\n");
    client
        .until("refresh", |inbox| {
            (refreshes(inbox, "workspace/diagnostic/refresh") > 0).then_some(())
        })
        .await;
    let first = report(&client, &path, None).await;
    assert_eq!(first["kind"], "full");
    assert_eq!(first["items"][0]["code"], "low-score");
    let id = &first["resultId"];
    let same = report(&client, &path, Some(id)).await;
    assert_eq!(same, json!({"kind": "unchanged", "resultId": id}));

    client.change(&path, 2, "one\ntwo\n");
    // Before it is looked at again what the client has still counts, or it is known to be over.
    let meanwhile = report(&client, &path, Some(id)).await;
    assert!(meanwhile["kind"] == "unchanged" || meanwhile["items"] == json!([]));
    client.until_lens(&path, None).await;
    let after = report(&client, &path, Some(id)).await;
    assert_eq!(
        (&after["kind"], &after["items"]),
        (&json!("full"), &json!([]))
    );

    let elsewhere = report(&client, &repo.path("not-open.rs"), None).await;
    assert_eq!(elsewhere["items"], json!([]));
    client.close(&path);
    client.text(&path).await;
    let published = |inbox: &Inbox| {
        let is_it = |(name, _): &&(String, Value)| name == "textDocument/publishDiagnostics";
        inbox.notifications.iter().filter(is_it).count()
    };
    assert_eq!(client.inbox(published), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_be_told_has_them_published() {
    let repo = repository();
    let path = repo.path("a.rs");
    let client = client_of(false, false).await;
    assert_eq!(client.capabilities["diagnosticProvider"], Value::Null);
    client.open(&path, "one\nbad 🦀 line\n");
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_stand_at_the_end_of_the_first_changed_line_if_they_are_wanted() {
    let repo = repository();
    let path = repo.path("a.rs");
    for wanted in [true, false] {
        let client = client_of(false, wanted).await;
        client.open(&path, "one\nbad 🦀 line\n");
        client.until_lens(&path, Some(LOW)).await;
        let hints = async |from: u32, to: u32| {
            let position = |line: u32| json!({"line": line, "character": 0});
            let range = json!({"start": position(from), "end": position(to)});
            let document = json!({"uri": uri(&path)});
            let params = json!({"textDocument": document, "range": range});
            client.request("textDocument/inlayHint", params).await
        };
        if !wanted {
            assert_eq!(hints(0, 9).await, json!([]));
            continue;
        }
        client
            .until("refresh", |inbox| {
                (refreshes(inbox, "workspace/inlayHint/refresh") > 0).then_some(())
            })
            .await;
        let all = hints(0, 9).await;
        assert_eq!(all[0]["label"], "12%");
        // In UTF-16 the crab takes two.
        assert_eq!(all[0]["position"], json!({"line": 1, "character": 11}));
        assert_eq!(hints(0, 1).await, json!([]), "it is further down");
        client.change(&path, 2, "one\ntwo\n");
        client.until_lens(&path, None).await;
        assert_eq!(hints(0, 9).await, json!([]));
    }
}
