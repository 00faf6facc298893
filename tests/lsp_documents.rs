//! The language server with real repositories and a model whose scores follow from the text.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use diffidence::calibration::Probability;
use diffidence::server::Ending;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, Setup, latest_diagnostics, uri};

const GOOD: &str = "87% likely correct · nothing to check";

/// Thirty numbered lines, some replaced.
fn lines(replaced: &[(usize, &str)]) -> String {
    let line = |n: usize| {
        let replaced = replaced.iter().find(|(at, _)| *at == n);
        replaced.map_or_else(|| format!("line {n}\n"), |(_, text)| format!("{text}\n"))
    };
    (1..=30).map(line).collect()
}

/// A repository with one committed file of [`lines`].
fn repository() -> (Repo, PathBuf) {
    let repo = Repo::new();
    repo.write("a.rs", lines(&[])).commit();
    let path = repo.path("a.rs");
    (repo, path)
}

fn span(diagnostic: &Value) -> [u64; 4] {
    let range = &diagnostic["range"];
    [
        &range["start"]["line"],
        &range["start"]["character"],
        &range["end"]["line"],
        &range["end"]["character"],
    ]
    .map(|value| value.as_u64().unwrap())
}

fn spans(diagnostics: &[Value]) -> Vec<[u64; 4]> {
    diagnostics.iter().map(span).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_shows_one_lens_and_its_low_hunks() {
    let (repo, path) = repository();
    let text = lines(&[(2, "bad"), (11, "fine"), (20, "poor"), (21, "more")]);
    repo.write("a.rs", &text);
    let client = Client::start().await;
    client.open(&path, &text);
    client
        .until_lens(&path, Some("12% likely correct · 2 of 3 hunks to check"))
        .await;
    let (version, found) = client
        .until_diagnostics(&path, "two", |_, all| all.len() == 2)
        .await;
    assert_eq!(version, 1);
    assert_eq!(spans(&found), [[1, 0, 1, 3], [19, 0, 20, 4]]);
    let bad = &found[0];
    assert_eq!(bad["severity"], 2);
    assert_eq!(found[1]["severity"], 3);
    assert_eq!(bad["source"], "diffidence");
    assert_eq!(bad["code"], "low-score");
    assert_eq!(
        bad["message"],
        "12% likely correct: this hunk is worth a second look"
    );
    let help = bad["codeDescription"]["href"].as_str().unwrap();
    assert!(help.ends_with("#how-to-read-a-score"), "{help}");
    assert_eq!(client.goodbye().await, Ending::Exit { clean: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_file_shows_nothing_and_a_mended_one_is_cleared() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    client.open(&path, &lines(&[]));
    assert_eq!(client.lens(&path).await, None);
    client.change(&path, 2, &lines(&[(5, "bad")]));
    client
        .until_lens(
            &path,
            Some("12% likely correct · 1 hunk to check · unsaved"),
        )
        .await;
    client
        .until_diagnostics(&path, "version 2", |version, all| {
            version == 2 && all.len() == 1
        })
        .await;
    client.change(&path, 3, &lines(&[]));
    client
        .until_diagnostics(&path, "cleared", |version, all| {
            version == 3 && all.is_empty()
        })
        .await;
    client.until_lens(&path, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buffer_wins_over_the_disk_until_it_is_saved() {
    let (repo, path) = repository();
    let on_disk = lines(&[(5, "bad")]);
    repo.write("a.rs", &on_disk);
    let client = Client::start().await;
    let buffer = lines(&[(5, "fine")]);
    client.open(&path, &buffer);
    let unsaved = format!("{GOOD} · unsaved");
    client.until_lens(&path, Some(&unsaved)).await;
    repo.write("a.rs", &buffer);
    client.save(&path);
    client.until_lens(&path, Some(GOOD)).await;
    assert_eq!(
        client.inbox(|inbox| latest_diagnostics(inbox, &uri(&path))),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_the_terminal_is_noticed_at_the_next_save_or_watched_change() {
    let (repo, path) = repository();
    repo.write("b.rs", "one\n").commit();
    let text = lines(&[(5, "bad")]);
    repo.write("a.rs", &text);
    let client = Client::start().await;
    client.open(&path, &text);
    client.open(&repo.path("b.rs"), "one\n");
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    repo.commit();
    client.save(&repo.path("b.rs"));
    client
        .until_diagnostics(&path, "cleared", |_, all| all.is_empty())
        .await;
    client.until_lens(&path, None).await;
    repo.git(&["reset", "--quiet", "--soft", "HEAD~1"]);
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": []}));
    client
        .until_diagnostics(&path, "back", |version, all| version == 1 && all.len() == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pure_deletion_is_shown_on_the_line_after_it() {
    let repo = Repo::new();
    let keep = |skip: &[usize]| -> String {
        (1..=9)
            .filter(|n| !skip.contains(n))
            .map(|n| {
                if n == 4 || n == 9 {
                    format!("bad {n}\n")
                } else {
                    format!("line {n}\n")
                }
            })
            .collect()
    };
    repo.write("middle", keep(&[]))
        .write("end", keep(&[]))
        .commit();
    let client = Client::start().await;
    for (name, skip, expected) in [("middle", 4, [3, 0, 3, 6]), ("end", 9, [7, 0, 7, 6])] {
        let path = repo.path(name);
        client.open(&path, &keep(&[skip]));
        let (_, found) = client
            .until_diagnostics(&path, "one", |_, all| all.len() == 1)
            .await;
        assert_eq!(span(&found[0]), expected, "{name}");
    }
    // Nothing is left to stand on but the empty first line.
    let path = repo.path("middle");
    client.change(&path, 2, "");
    let (_, found) = client
        .until_diagnostics(&path, "one", |version, all| version == 2 && all.len() == 1)
        .await;
    assert_eq!(span(&found[0]), [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn context_between_the_changes_of_a_hunk_is_never_covered() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    client.open(&path, &lines(&[(5, "bad"), (6, "b"), (8, "c")]));
    let (_, found) = client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    assert_eq!(span(&found[0]), [4, 0, 5, 1]);
    let others = &found[0]["relatedInformation"];
    assert_eq!(others[0]["location"]["range"]["start"]["line"], 7);
    assert_eq!(others.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_scored_and_skipped_ones_say_why() {
    let repo = Repo::new();
    repo.write("Cargo.lock", "a\n")
        .write(".gitignore", "*.log\n")
        .commit();
    let client = Client::start().await;
    let new = repo.path("new.rs");
    client.open(&new, "bad\n");
    client
        .until_lens(&new, Some("12% likely correct · 1 hunk to check · unsaved"))
        .await;
    let lock = repo.path("Cargo.lock");
    client.open(&lock, "a\n");
    client.open(&repo.path("x.log"), "bad\n");
    // Looks begin in order, and two at a time.
    for name in ["1.rs", "2.rs", "3.rs"] {
        let path = repo.path(name);
        client.open(&path, "bad\n");
        client
            .until_diagnostics(&path, "one", |_, all| all.len() == 1)
            .await;
    }
    assert_eq!(client.lens(&lock).await, None);
    client.change(&lock, 2, "b\n");
    let title = "not scored: lock file";
    client.until_lens(&lock, Some(title)).await;
    assert_eq!(client.lens(&repo.path("x.log")).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn crlf_emoji_and_lone_cr_give_the_right_ranges_in_every_encoding() {
    let repo = Repo::new();
    let base = "a\r\nb\rb\r\nc 😀\r\nd\r\n";
    repo.write("a.txt", base).commit();
    let path = repo.path("a.txt");
    let text = "a\r\nb\rb\r\nbad 😀é\r\nd\r\n";
    for (encoding, end) in [("utf-8", 10), ("utf-16", 7), ("utf-32", 6)] {
        let client = Client::with(Setup {
            encodings: json!([encoding]),
            ..Setup::default()
        })
        .await;
        assert_eq!(client.capabilities["positionEncoding"], encoding);
        client.open(&path, text);
        let (_, found) = client
            .until_diagnostics(&path, "one", |_, all| all.len() == 1)
            .await;
        // The lone CR breaks a line for the protocol and none for git.
        assert_eq!(span(&found[0]), [3, 0, 3, end], "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_may_hold_anything() {
    let repo = Repo::new();
    let names = ["with space/a b.rs", "ünï/漢 😀.rs", "100%41.rs", "a#b?.rs"];
    for name in names {
        repo.write(name, "line\n");
    }
    repo.commit();
    let client = Client::start().await;
    for name in names {
        let path = repo.path(name);
        client.open(&path, "bad\n");
        client
            .until_diagnostics(&path, name, |_, all| all.len() == 1)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_belongs_to_its_own_repository_and_its_settings() {
    let (one, first) = repository();
    let (two, second) = repository();
    two.write("diffidence.toml", "minScore = 0.05\nmodel = '/x'\n");
    let client = Client::start().await;
    let text = lines(&[(5, "bad")]);
    client.open(&first, &text);
    client.open(&second, &text);
    let low = "12% likely correct · 1 hunk to check · unsaved";
    client.until_lens(&first, Some(low)).await;
    let fine = "12% likely correct · nothing to check · unsaved";
    client.until_lens(&second, Some(fine)).await;
    client
        .until("a warning about the setting", |inbox| {
            inbox.notifications.iter().find_map(|(method, params)| {
                let text = params["message"].as_str().unwrap_or_default();
                (method == "window/showMessage" && text.contains("`model`")).then_some(())
            })
        })
        .await;
    let outside = one.beside("outside.rs");
    client.open(&outside, "bad\n");
    client.close(&first);
    client
        .until_diagnostics(&first, "cleared on close", |_, all| all.is_empty())
        .await;
    assert_eq!(client.lens(&outside).await, None);
    assert_eq!(client.lens(&first).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn lens_and_diagnostics_can_be_turned_off_and_on_again() {
    let (_repo, path) = repository();
    let client = Client::with(Setup {
        initialization_options: json!({"debounceMs": 1, "codeLens": false}),
        ..Setup::default()
    })
    .await;
    client.open(&path, &lines(&[(5, "bad")]));
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    assert_eq!(client.lens(&path).await, None);
    client.notify(
        "workspace/didChangeConfiguration",
        json!({"settings": {"diffidence": {"codeLens": true, "diagnostics": false}}}),
    );
    client
        .until_diagnostics(&path, "cleared", |_, all| all.is_empty())
        .await;
    let low = "12% likely correct · 1 hunk to check · unsaved";
    client.until_lens(&path, Some(low)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_prior_or_threshold_needs_no_inference() {
    let (_repo, path) = repository();
    let model = FakeModel::default();
    let client = Client::with(Setup {
        model: model.clone(),
        settings: Some(json!({"debounceMs": 1, "minScore": 0.1})),
        ..Setup::default()
    })
    .await;
    client.open(&path, &lines(&[(5, "bad")]));
    let fine = "12% likely correct · nothing to check · unsaved";
    client.until_lens(&path, Some(fine)).await;
    client.notify(
        "workspace/didChangeConfiguration",
        json!({"settings": {"prior": 0.9, "minScore": 0.6}}),
    );
    let expected = diffidence::calibration::Logit::new(-2.0 + 9.0_f64.ln())
        .unwrap()
        .sigmoid();
    assert!(expected < Probability::new(0.6).unwrap());
    let low = format!("{expected} likely correct · 1 hunk to check · unsaved");
    client.until_lens(&path, Some(&low)).await;
    client
        .until_diagnostics(&path, "now low", |_, all| all.len() == 1)
        .await;
    assert_eq!(model.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hover_tells_what_is_behind_a_score_on_changed_lines_only() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    client.open(&path, &lines(&[(5, "bad"), (20, "fine")]));
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    let at = |line: u32| json!({"textDocument": {"uri": uri(&path)}, "position": {"line": line, "character": 1}});
    let hover = client.request("textDocument/hover", at(19)).await;
    assert_eq!(
        hover["contents"]["value"],
        "**87% likely correct** (this hunk), 12% (all of this file's changes)\n\n\
         `fake@1` · calibration none · 7 tokens · just computed · against HEAD"
    );
    assert_eq!(hover["range"]["start"], json!({"line": 19, "character": 0}));
    let low = client.request("textDocument/hover", at(4)).await;
    assert_eq!(
        low["contents"]["value"],
        "**12% likely correct** (this hunk), 12% (all of this file's changes)\n\n\
         Pulled down most by line 5 (80%).\n\n\
         `fake@1` · calibration none · 7 tokens · just computed · against HEAD"
    );
    assert_eq!(
        client.request("textDocument/hover", at(5)).await,
        Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_score_needs_no_model() {
    let (_repo, path) = repository();
    let cache = Arc::default();
    let text = lines(&[(5, "bad")]);
    let low = "12% likely correct · 1 hunk to check · unsaved";
    for begun in [1, 0] {
        let model = FakeModel::default();
        let client = Client::with(Setup {
            model: model.clone(),
            cache: Arc::clone(&cache),
            ..Setup::default()
        })
        .await;
        client.open(&path, &text);
        client.until_lens(&path, Some(low)).await;
        assert_eq!(model.begun.load(Ordering::SeqCst), begun);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_placeholder_comes_first_and_a_newer_text_replaces_a_slow_one() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    client.open(&path, &lines(&[(5, "slow bad")]));
    client.until_lens(&path, Some("scoring…")).await;
    client
        .until("status", |inbox| {
            inbox.notifications.iter().find_map(|(method, params)| {
                (method == "diffidence/status" && params["state"] == "scoring").then_some(())
            })
        })
        .await;
    client.change(&path, 2, &lines(&[(5, "fine")]));
    let unsaved = format!("{GOOD} · unsaved");
    client.until_lens(&path, Some(&unsaved)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_loaded_is_said_once_and_in_the_lens() {
    let (repo, path) = repository();
    let client = Client::with(Setup {
        model: FakeModel {
            broken: true,
            ..FakeModel::default()
        },
        expects_errors: true,
        ..Setup::default()
    })
    .await;
    client.open(&path, &lines(&[(5, "bad")]));
    let other = repo.path("new.rs");
    client.open(&other, "bad\n");
    let reason =
        "no model bundle in /nowhere: point `--model` at a folder that holds a bundle.json";
    for path in [&path, &other] {
        let title = format!("cannot score: {reason}");
        client.until_lens(path, Some(&title)).await;
    }
    client
        .until("degraded", |inbox| {
            inbox.notifications.iter().find_map(|(method, params)| {
                (method == "diffidence/status" && params["state"] == "degraded").then_some(())
            })
        })
        .await;
    let shown = client.inbox(|inbox| {
        let shown = inbox.notifications.iter();
        shown
            .filter(|(method, params)| method == "window/showMessage" && params["type"] == 1)
            .count()
    });
    assert_eq!(shown, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_model_costs_one_score() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    client.open(&path, &lines(&[(5, "crash")]));
    let title = "cannot score: the model crashed: asked to crash";
    client.until_lens(&path, Some(title)).await;
    client.change(&path, 2, &lines(&[(5, "fine")]));
    let unsaved = format!("{GOOD} · unsaved");
    client.until_lens(&path, Some(&unsaved)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_states_and_nonsense_are_left_alone() {
    let (_repo, path) = repository();
    let client = Client::start().await;
    for other in [
        format!("git:{}?%7B%7D", path.display()),
        "fugitive:///x/.git//0/a.rs".into(),
        "untitled:Untitled-1".into(),
    ] {
        let document = json!({"uri": other, "languageId": "", "version": 1, "text": "bad\n"});
        client.notify("textDocument/didOpen", json!({"textDocument": document}));
        let lens = json!({"textDocument": {"uri": other}});
        assert_eq!(
            client.request("textDocument/codeLens", lens).await,
            Value::Null
        );
    }
    client.save(&path);
    client.close(&path);
    client.change(&path, 1, "x");
    assert_eq!(client.text(&path).await, Value::Null);
    for (method, params) in [
        ("workspace/executeCommand", json!({"command": "other"})),
        (
            "workspace/executeCommand",
            json!({"command": "diffidence.showFile"}),
        ),
        ("textDocument/hover", json!({"bad": "parameters"})),
        ("unknown/request", json!({})),
    ] {
        let answer = client.ask(method, params).await;
        assert!(answer.get("error").is_some(), "{method}: {answer}");
    }
    client.open(&path, &lines(&[(5, "bad")]));
    client
        .until_diagnostics(&path, "still at work", |_, all| all.len() == 1)
        .await;
    let command = json!({"command": "diffidence.showFile", "arguments": [uri(&path)]});
    client.request("workspace/executeCommand", command).await;
    client
        .until("the summary", |inbox| {
            inbox.notifications.iter().find_map(|(_, params)| {
                let text = params["message"].as_str()?;
                text.starts_with("a.rs: 12% likely correct").then_some(())
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scoring_on_change_only_open_and_save_score() {
    let (repo, path) = repository();
    let model = FakeModel::default();
    let client = Client::with(Setup {
        model: model.clone(),
        initialization_options: json!({"scoreOnChange": false}),
        ..Setup::default()
    })
    .await;
    let text = lines(&[(5, "fine")]);
    repo.write("a.rs", &text);
    client.open(&path, &text);
    client.until_lens(&path, Some(GOOD)).await;
    client.change(&path, 2, &lines(&[(5, "bad")]));
    // The old score stays, marked.
    let unsaved = format!("{GOOD} · unsaved");
    client.until_lens(&path, Some(&unsaved)).await;
    repo.write("a.rs", lines(&[(5, "bad")]));
    client.save(&path);
    client
        .until_lens(&path, Some("12% likely correct · 1 hunk to check"))
        .await;
    assert_eq!(model.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_scored_when_it_pauses() {
    let (_repo, path) = repository();
    let model = FakeModel::default();
    let client = Client::with(Setup {
        model: model.clone(),
        initialization_options: json!({"debounceMs": 400}),
        ..Setup::default()
    })
    .await;
    client.open(&path, &lines(&[]));
    let typed = "bad".repeat(100);
    for (version, letter) in (2..).zip(typed.chars()) {
        let end = json!({"line": 0, "character": version - 2});
        let change = json!({"range": {"start": end, "end": end}, "text": letter.to_string()});
        client.edit(&path, version, &[change]);
    }
    let (version, found) = client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    assert_eq!(version, 301);
    assert_eq!(span(&found[0]), [0, 0, 0, 306]);
    // One, unless the machine halts for longer than the pause between two letters.
    assert!(model.begun.load(Ordering::SeqCst) <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_while_scores_are_computed_publishes_the_last_version_once() {
    const KEYS: i64 = 200;
    let (repo, path) = repository();
    let model = FakeModel::default();
    let client = Client::with(Setup {
        model: model.clone(),
        initialization_options: json!({"debounceMs": 400}),
        ..Setup::default()
    })
    .await;
    // The model is busy with another file and has the first text of this one to do.
    let other = repo.path("other.rs");
    client.open(&other, "deaf bad\n");
    client.until_lens(&other, Some("scoring…")).await;
    client.open(&path, &lines(&[(5, "slow bad")]));
    client.until_lens(&path, Some("scoring…")).await;
    for version in 2..2 + KEYS {
        let start = json!({"line": 4, "character": 8});
        let change = json!({"range": {"start": start, "end": start}, "text": "x"});
        client.edit(&path, i32::try_from(version).unwrap(), &[change]);
        assert_eq!(client.text(&path).await["version"], version);
    }
    assert_eq!(client.lens(&path).await.as_deref(), Some("scoring…"));
    model.release.store(true, Ordering::SeqCst);
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    client
        .until_diagnostics(&other, "one", |_, all| all.len() == 1)
        .await;
    let versions = client.inbox(|inbox| {
        let published = inbox.notifications.iter().filter(|(method, params)| {
            method == "textDocument/publishDiagnostics" && params["uri"] == uri(&path)
        });
        let versions = published.map(|(_, params)| params["version"].as_i64().unwrap());
        versions.collect::<Vec<_>>()
    });
    assert_eq!(versions, [KEYS + 1]);
}
