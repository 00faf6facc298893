//! Code actions of the language server, end to end in real repositories.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use diffidence::review::{Label, Reviews, Scope};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::Repo;
use support::lsp::{Client, Setup, uri};

/// Thirty numbered lines, some replaced.
fn lines(replaced: &[(usize, &str)]) -> String {
    let line = |n: usize| {
        let replaced = replaced.iter().find(|(at, _)| *at == n);
        replaced.map_or_else(|| format!("line {n}\n"), |(_, text)| format!("{text}\n"))
    };
    (1..=30).map(line).collect()
}

/// A repository with one committed file of [`lines`], edited on disk.
fn repository(replaced: &[(usize, &str)]) -> (Repo, PathBuf, String) {
    let repo = Repo::new();
    repo.write("a.rs", lines(&[])).commit();
    let text = lines(replaced);
    repo.write("a.rs", &text);
    let path = repo.path("a.rs");
    (repo, path, text)
}

/// An editor that keeps what is said in `data`.
async fn editor(data: &Path) -> Client {
    Client::with(Setup {
        data: Some(data.into()),
        ..Setup::default()
    })
    .await
}

/// What is offered on a line, counted from 0, with the diagnostics that are shown there.
async fn actions_with(client: &Client, path: &Path, line: u32, more: Value) -> Vec<Value> {
    let shown = client.inbox(|inbox| support::lsp::latest_diagnostics(inbox, &uri(path)));
    let touches = |diagnostic: &Value| {
        let range = &diagnostic["range"];
        let (start, end) = (&range["start"]["line"], &range["end"]["line"]);
        (start.as_u64().unwrap()..=end.as_u64().unwrap()).contains(&u64::from(line))
    };
    let shown: Vec<Value> = shown
        .map(|(_, all)| all.into_iter().filter(touches).collect())
        .unwrap_or_default();
    let mut context = json!({"diagnostics": shown});
    for (key, value) in more.as_object().unwrap() {
        context[key] = value.clone();
    }
    let place = json!({"line": line, "character": 0});
    let params = json!({
        "textDocument": {"uri": uri(path)},
        "range": {"start": place, "end": place},
        "context": context,
    });
    let actions = client.request("textDocument/codeAction", params).await;
    actions.as_array().unwrap().clone()
}

async fn actions(client: &Client, path: &Path, line: u32) -> Vec<Value> {
    actions_with(client, path, line, json!({})).await
}

fn titles(actions: &[Value]) -> Vec<&str> {
    actions
        .iter()
        .map(|action| action["title"].as_str().unwrap())
        .collect()
}

#[track_caller]
fn named<'a>(actions: &'a [Value], title: &str) -> &'a Value {
    let found = actions.iter().find(|action| action["title"] == title);
    found.unwrap_or_else(|| panic!("no {title}: {:?}", titles(actions)))
}

/// Chooses the action with this title on a line; the answer to its command.
async fn choose(client: &Client, path: &Path, line: u32, title: &str) -> Value {
    let actions = actions(client, path, line).await;
    execute(client, &named(&actions, title)["command"]).await
}

async fn execute(client: &Client, command: &Value) -> Value {
    let params = json!({"command": command["command"], "arguments": command["arguments"]});
    client.request("workspace/executeCommand", params).await
}

async fn until_message(client: &Client, part: &str) {
    client
        .until(part, |inbox| {
            inbox
                .notifications
                .iter()
                .find_map(|(_, params)| params["message"].as_str()?.contains(part).then_some(()))
        })
        .await;
}

const LOW: &str = "12% likely correct · 1 of 2 hunks to check";
const QUIET: &str = "12% likely correct · nothing to check · 1 ignored";

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_hunk_offers_actions_and_other_lines_none() {
    let (_repo, path, text) = repository(&[(5, "bad"), (20, "fine")]);
    let client = Client::start().await;
    let offered = &client.capabilities["codeActionProvider"];
    assert_eq!(
        offered["codeActionKinds"],
        json!(["quickfix", "diffidence"])
    );
    client.open(&path, &text);
    client.until_lens(&path, Some(LOW)).await;
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    assert_eq!(actions(&client, &path, 10).await, Vec::<Value>::new());

    let low = actions(&client, &path, 4).await;
    let shared = [
        "Mark hunk as correct",
        "Mark hunk as wrong",
        "Mark file as correct",
        "Mark file as wrong",
        "Rescore this file",
        "Show diff against base",
    ];
    let expected = [&["Ignore this hunk", "Revert hunk to base"], &shared[..]].concat();
    assert_eq!(titles(&low), expected);
    for action in &low[..2] {
        assert_eq!(action["kind"], "quickfix");
        assert_eq!(action["diagnostics"][0]["code"], "low-score");
    }
    let high = actions(&client, &path, 19).await;
    assert_eq!(titles(&high), expected);
    for (action, kind) in high.iter().zip(["diffidence.ignore", "diffidence.revert"]) {
        assert_eq!(action["kind"], kind);
        assert!(action.get("diagnostics").is_none());
    }

    let only = |kind: &str| json!({"only": [kind]});
    let fixes = actions_with(&client, &path, 4, only("quickfix")).await;
    assert_eq!(titles(&fixes), expected[..2]);
    let marks = actions_with(&client, &path, 4, only("diffidence.mark")).await;
    assert_eq!(titles(&marks), shared[..4]);
    let none = actions_with(&client, &path, 4, only("source")).await;
    assert_eq!(none, Vec::<Value>::new());

    let commands = &client.capabilities["executeCommandProvider"]["commands"];
    for action in low.iter().filter(|action| action.get("command").is_some()) {
        let name = &action["command"]["command"];
        assert!(commands.as_array().unwrap().contains(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_means_the_first_hunk_that_it_touches() {
    let (_repo, path, text) = repository(&[(5, "bad"), (22, "fine")]);
    // The thirteenth line is deleted, which is shown on the line after it.
    let text = text.replace("line 13\n", "");
    let client = Client::start().await;
    client.open(&path, &text);
    let title = "12% likely correct · 1 of 3 hunks to check · unsaved";
    client.until_lens(&path, Some(title)).await;
    let select = async |from: (u32, u32), to: (u32, u32)| {
        let place = |(line, character)| json!({"line": line, "character": character});
        let params = json!({
            "textDocument": {"uri": uri(&path)},
            "range": {"start": place(from), "end": place(to)},
            "context": {"diagnostics": [], "only": ["quickfix", "diffidence.ignore"]},
        });
        let actions = client.request("textDocument/codeAction", params).await;
        let ignore = actions.as_array().unwrap().first()?.clone();
        assert_eq!(ignore["title"], "Ignore this hunk");
        Some(ignore["command"]["arguments"][1].clone())
    };
    let low = select((4, 0), (4, 0)).await;
    let deletion = select((12, 2), (12, 2)).await;
    assert!(low.is_some() && deletion.is_some() && low != deletion);
    assert_eq!(select((0, 0), (29, 0)).await, low);
    assert_eq!(select((0, 0), (4, 1)).await, low);
    // Whole lines up to the hunk.
    assert_eq!(select((0, 0), (4, 0)).await, None);
    assert_eq!(select((5, 0), (9, 99)).await, None);
    assert_eq!(select((5, 0), (15, 0)).await, deletion);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_gets_bare_commands() {
    let (_repo, path, text) = repository(&[(5, "bad")]);
    let client = Client::with(Setup {
        action_literals: false,
        ..Setup::default()
    })
    .await;
    client.open(&path, &text);
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    let commands = actions(&client, &path, 4).await;
    assert_eq!(titles(&commands)[0], "Ignore this hunk");
    assert!(!titles(&commands).contains(&"Revert hunk to base"));
    execute(&client, &commands[0]).await;
    client
        .until_diagnostics(&path, "none", |_, all| all.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_hunk_is_quiet_also_after_a_restart_until_that_is_undone() {
    let (_repo, path, text) = repository(&[(5, "bad"), (20, "fine")]);
    let data = tempfile::tempdir().unwrap();
    let client = editor(data.path()).await;
    client.open(&path, &text);
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    choose(&client, &path, 4, "Ignore this hunk").await;
    client
        .until_diagnostics(&path, "none", |version, all| version == 1 && all.is_empty())
        .await;
    client.until_lens(&path, Some(QUIET)).await;
    client.goodbye().await;

    let client = editor(data.path()).await;
    client.open(&path, &text);
    client.until_lens(&path, Some(QUIET)).await;
    let offered = actions(&client, &path, 4).await;
    assert_eq!(titles(&offered)[0], "Stop ignoring this hunk");
    assert_eq!(offered[0]["kind"], "diffidence.ignore");
    let place =
        json!({"textDocument": {"uri": uri(&path)}, "position": {"line": 4, "character": 0}});
    let hover = client.request("textDocument/hover", place).await;
    let hover = hover["contents"]["value"].as_str().unwrap();
    assert!(hover.ends_with("\n\nYou ignore this hunk."), "{hover}");
    choose(&client, &path, 4, "Stop ignoring this hunk").await;
    client
        .until_diagnostics(&path, "back", |_, all| all.len() == 1)
        .await;
    client.until_lens(&path, Some(LOW)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_hunk_may_move_but_not_change() {
    let (_repo, path, text) = repository(&[(20, "bad")]);
    let client = Client::start().await;
    client.open(&path, &text);
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    choose(&client, &path, 19, "Ignore this hunk").await;
    client
        .until_diagnostics(&path, "none", |_, all| all.is_empty())
        .await;
    let moved = format!("poor\npoor 2\n{text}");
    client.change(&path, 2, &moved);
    let title = "12% likely correct · 1 of 2 hunks to check · 1 ignored · unsaved";
    client.until_lens(&path, Some(title)).await;
    let (_, found) = client
        .until_diagnostics(&path, "the new one", |version, all| {
            version == 2 && all.len() == 1
        })
        .await;
    assert_eq!(found[0]["range"]["start"]["line"], 0);
    client.change(&path, 3, &moved.replace("bad", "bad indeed"));
    client
        .until_diagnostics(&path, "both", |version, all| version == 3 && all.len() == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_editor_ignores_another_one_knows_at_its_next_look() {
    let (_repo, path, text) = repository(&[(5, "bad"), (20, "fine")]);
    let data = tempfile::tempdir().unwrap();
    let (one, other) = (editor(data.path()).await, editor(data.path()).await);
    for client in [&one, &other] {
        client.open(&path, &text);
        client
            .until_diagnostics(&path, "one", |_, all| all.len() == 1)
            .await;
    }
    choose(&one, &path, 4, "Ignore this hunk").await;
    other.save(&path);
    other
        .until_diagnostics(&path, "none", |_, all| all.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_are_kept_with_what_the_model_thought() {
    let (repo, path, text) = repository(&[(5, "bad"), (20, "fine")]);
    let data = tempfile::tempdir().unwrap();
    let client = editor(data.path()).await;
    client.open(&path, &text);
    client.until_lens(&path, Some(LOW)).await;
    choose(&client, &path, 4, "Mark hunk as correct").await;
    until_message(&client, "Marked the hunk as correct").await;
    choose(&client, &path, 19, "Mark file as wrong").await;
    until_message(&client, "Marked the file as wrong").await;

    let reviews = Reviews::in_folder(Some(data.path().into()));
    let marks: Vec<_> = reviews
        .marks()
        .unwrap()
        .into_iter()
        .map(|entry| entry.statement)
        .collect();
    assert_eq!(marks.len(), 2);
    let hunk = marks.iter().find(|mark| mark.scope == Scope::Hunk).unwrap();
    assert_eq!(hunk.label, Label::Correct);
    assert_eq!(hunk.place.root, repo.root().to_str().unwrap());
    assert_eq!(hunk.place.path, "a.rs");
    assert_eq!(hunk.logit.get(), -2.0);
    assert_eq!(hunk.probability.to_string(), "12%");
    assert_eq!(
        (hunk.model.as_str(), hunk.calibration.as_str()),
        ("fake@1", "none")
    );
    assert!(hunk.patch.contains("-line 5\n+bad\n"), "{}", hunk.patch);
    assert!(!hunk.patch.contains("fine"), "{}", hunk.patch);
    assert!(hunk.time.starts_with("20") && hunk.time.ends_with('Z'));
    let file = marks.iter().find(|mark| mark.scope == Scope::File).unwrap();
    assert_eq!(file.label, Label::Wrong);
    assert!(file.patch.contains("+bad\n") && file.patch.contains("+fine\n"));

    // The last word counts.
    choose(&client, &path, 4, "Mark hunk as wrong").await;
    let marks = reviews.marks().unwrap();
    assert_eq!(marks.len(), 2);
    assert!(
        marks
            .iter()
            .all(|mark| mark.statement.label == Label::Wrong)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rescoring_does_not_take_the_remembered_score() {
    let (_repo, path, text) = repository(&[(5, "bad"), (20, "fine")]);
    let setup = Setup::default();
    let (cache, begun) = (Arc::clone(&setup.cache), Arc::clone(&setup.model.begun));
    let model = setup.model.clone();
    let first = Client::with(setup).await;
    first.open(&path, &text);
    first.until_lens(&path, Some(LOW)).await;
    let client = Client::with(Setup {
        cache,
        model,
        ..Setup::default()
    })
    .await;
    client.open(&path, &text);
    client.until_lens(&path, Some(LOW)).await;
    let position = json!({"line": 4, "character": 0});
    let place = json!({"textDocument": {"uri": uri(&path)}, "position": position});
    let hover = client.request("textDocument/hover", place.clone()).await;
    let says = |hover: &Value, part: &str| {
        let text = hover["contents"]["value"].as_str().unwrap();
        assert!(text.contains(part), "{text}");
    };
    says(&hover, "remembered");
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    choose(&client, &path, 4, "Rescore this file").await;
    client.until_lens(&path, Some(LOW)).await;
    assert_eq!(begun.load(Ordering::SeqCst), 2);
    let hover = client.request("textDocument/hover", place).await;
    says(&hover, "just computed");
}

/// Opens `text` over the committed `base`, reverts every hunk by its action, and expects the
/// base again, with the line endings of `text`.
async fn check_revert(base: &str, text: &str, expected: &str) {
    let repo = Repo::new();
    repo.write("a.txt", base).commit();
    let path = repo.path("a.txt");
    for versioned_edits in [true, false] {
        let client = Client::with(Setup {
            versioned_edits,
            ..Setup::default()
        })
        .await;
        client.open(&path, text);
        let mut version = 1;
        let reverts = async {
            loop {
                let mut found = None;
                for line in 0..40 {
                    let actions = actions(&client, &path, line).await;
                    let revert = |action: &&Value| action["title"] == "Revert hunk to base";
                    found = actions.iter().find(revert).cloned();
                    if found.is_some() {
                        break;
                    }
                }
                if let Some(action) = found {
                    version += 1;
                    let edits = edits_of(&action, &path, versioned_edits, version - 1);
                    client.edit(&path, version, &edits);
                } else if client.lens(&path).await.is_none() && version > 1 {
                    return;
                }
            }
        };
        let ended = tokio::time::timeout(support::lsp::PATIENCE, reverts).await;
        assert!(
            ended.is_ok(),
            "never the base: {}",
            client.text(&path).await
        );
        assert_eq!(
            client.text(&path).await["text"],
            expected,
            "{base:?} {text:?}"
        );
    }
}

fn edits_of(action: &Value, path: &Path, versioned: bool, version: i32) -> Vec<Value> {
    let edit = &action["edit"];
    let edits = if versioned {
        let change = &edit["documentChanges"][0];
        assert_eq!(change["textDocument"]["version"], version);
        assert_eq!(change["textDocument"]["uri"], uri(path));
        &change["edits"]
    } else {
        &edit["changes"][uri(path)]
    };
    let as_change = |edit: &Value| json!({"range": edit["range"], "text": edit["newText"]});
    // Changes of a notification follow each other, edits of an action do not.
    edits
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(as_change)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hunks_are_reverted_whatever_they_did() {
    let base = "one\ntwo\n😀 three\nfour\n";
    check_revert(base, "one\nnew\ntwo\n😀 three\nfour\n", base).await;
    check_revert(base, "one\n2\n😀😀 3\nfour\n", base).await;
    check_revert(base, "one\nfour\n", base).await;
    check_revert(base, "", base).await;
    let text = lines(&[(2, "x\ny"), (5, "z"), (20, "w")]);
    check_revert(&lines(&[]), &text, &lines(&[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reverted_lines_end_as_those_of_the_document() {
    let base = "one\r\ntwo\r\n";
    check_revert(base, "one\r\nfive\r\nsix\r\n", base).await;
    check_revert("one\ntwo\n", "one\r\n2\r\n", base).await;
    check_revert("one\ntwo", "one\ntwo\n", "one\ntwo").await;
    check_revert("one\ntwo\n", "one\ntwo", "one\ntwo\n").await;
    check_revert("one\ntwo", "one\n", "one\ntwo").await;
    check_revert("one\n", "one\ntwo 😀", "one\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_has_no_base_to_go_back_to() {
    let repo = Repo::new();
    repo.write("a.rs", "").commit();
    let client = Client::start().await;
    let path = repo.path("new.rs");
    client.open(&path, "bad\n");
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    let offered = actions(&client, &path, 0).await;
    assert!(!titles(&offered).contains(&"Revert hunk to base"));
    assert!(titles(&offered).contains(&"Ignore this hunk"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_diff_against_the_base_is_the_commands_result() {
    let (_repo, path, text) = repository(&[(5, "bad"), (20, "fine")]);
    let client = Client::start().await;
    client.open(&path, &text);
    client.until_lens(&path, Some(LOW)).await;
    let result = choose(&client, &path, 4, "Show diff against base").await;
    assert_eq!(result["base"], "HEAD");
    let diff = result["diff"].as_str().unwrap();
    assert!(diff.starts_with("diff --git a/a.rs b/a.rs\n"), "{diff}");
    assert!(diff.contains("\n-line 5\n+bad\n"), "{diff}");
    until_message(
        &client,
        "a.rs: 2 lines added and 2 removed in 2 hunks against HEAD",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_cannot_be_carried_out_say_why() {
    let (repo, path, text) = repository(&[(5, "bad")]);
    let occupied = repo.beside("occupied");
    std::fs::write(&occupied, "").unwrap();
    let client = editor(&occupied).await;
    client.open(&path, &text);
    client
        .until_diagnostics(&path, "one", |_, all| all.len() == 1)
        .await;
    let offered = actions(&client, &path, 4).await;
    let ignore = &named(&offered, "Ignore this hunk")["command"];
    let fails = async |command: &Value, part: &str| {
        let answer = client
            .ask("workspace/executeCommand", command.clone())
            .await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    };
    fails(ignore, "cannot use ").await;
    let with = |uri: &str, hunk: &str| {
        let name = &ignore["command"];
        json!({"command": name, "arguments": [uri, hunk]})
    };
    fails(&with(&uri(&path), "0"), "the hunk has changed meanwhile").await;
    fails(&with("file:///nowhere", "0"), "neither open nor listed").await;
    fails(&with("untitled:1", "0"), "takes the URI of a file").await;
    client.change(&path, 2, &lines(&[]));
    client
        .until_diagnostics(&path, "none", |_, all| all.is_empty())
        .await;
    fails(ignore, "the file has no scored changes").await;
}
