//! What a text shows by itself: diagnostics of their own beside those of low scores.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup};

const BASE: &str = "def one():\n    return 1\n";

fn repository() -> (Repo, PathBuf) {
    let repo = Repo::new();
    repo.write("a.py", BASE).commit();
    let path = repo.path("a.py");
    (repo, path)
}

/// Code, severity and range of each.
fn brief(diagnostics: &[Value]) -> Vec<(String, u64, [u64; 4])> {
    let brief = |diagnostic: &Value| {
        let (start, end) = (&diagnostic["range"]["start"], &diagnostic["range"]["end"]);
        let range = [start, end].map(|at| [at["line"].as_u64(), at["character"].as_u64()]);
        let [[a, b], [c, d]] = range;
        assert_eq!(diagnostic["source"], "diffidence");
        (
            diagnostic["code"].as_str().unwrap().to_owned(),
            diagnostic["severity"].as_u64().unwrap(),
            [a, b, c, d].map(Option::unwrap),
        )
    };
    diagnostics.iter().map(brief).collect()
}

async fn sees(client: &Client, path: &Path, expected: &[(&str, u64, [u64; 4])]) {
    let wanted: Vec<_> = expected
        .iter()
        .map(|(code, severity, range)| ((*code).to_owned(), *severity, *range))
        .collect();
    client
        .until_diagnostics(path, &format!("{expected:?}"), |_, all| {
            brief(all) == wanted
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_has_its_diagnostic_until_it_is_mended() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    client.open(&path, BASE);
    let error = 1;
    client.change(&path, 2, "def one():\n    return 1\n\n\nx = )\n");
    sees(&client, &path, &[("syntax", error, [4, 0, 4, 5])]).await;
    // The score says nothing else than it did.
    let lens = "87% likely correct · nothing to check · unsaved";
    client.until_lens(&path, Some(lens)).await;

    let merge = "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> topic\n";
    client.change(&path, 3, &format!("{BASE}{merge}"));
    sees(&client, &path, &[("conflict-marker", error, [2, 0, 2, 12])]).await;

    client.change(&path, 4, &format!("{BASE}{BASE}"));
    sees(
        &client,
        &path,
        &[("duplicate-definition", 2, [2, 0, 2, 10])],
    )
    .await;

    let low = "def one():\n    breakpoint()\n    return bad\n";
    client.change(&path, 5, low);
    sees(
        &client,
        &path,
        &[
            ("debug-statement", 4, [1, 4, 1, 16]),
            ("low-score", 2, [1, 0, 2, 14]),
        ],
    )
    .await;

    client.change(&path, 6, BASE);
    sees(&client, &path, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_need_no_model_and_can_be_turned_off() {
    let (_repo, path) = repository();
    let broken = "def one():\n    return (1\n";
    for (checks, expected) in [(true, 1), (false, 0)] {
        let client = Client::with(Setup {
            model: FakeModel {
                broken: true,
                ..FakeModel::default()
            },
            initialization_options: json!({"debounceMs": 1, "staticChecks": checks}),
            expects_errors: true,
            ..Setup::default()
        })
        .await;
        client.open(&path, broken);
        let lens = "cannot score: no model bundle in /nowhere: point `--model` at a folder that \
                    holds a bundle.json";
        client.until_lens(&path, Some(lens)).await;
        let count = client.inbox(|inbox| {
            let uri = support::lsp::uri(&path);
            support::lsp::latest_diagnostics(inbox, &uri).map_or(0, |(_, all)| all.len())
        });
        if expected > 0 {
            client
                .until_diagnostics(&path, "one", |_, all| all.len() == expected)
                .await;
        } else {
            assert_eq!(count, 0);
        }
    }
}
