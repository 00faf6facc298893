//! Candidate patches for one task: ranked, looked at, applied.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use diffidence::server::text::{Encoding, apply};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use support::Repo;
use support::fake_model::FakeModel;
use support::lsp::{Client, PATIENCE, Setup, uri};
use tower_lsp::lsp_types::{TextDocumentContentChangeEvent, Url};

const COMPARE: &str = "diffidence/compare";
const APPLY: &str = "diffidence/applyCandidate";
const FILE: &str = "diffidence/candidateFile";

fn lines(count: u32) -> String {
    (1..=count).map(|n| format!("line {n}\n")).collect()
}

/// Two committed files, on `main`.
fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("a.rs", lines(20))
        .write("b.rs", "one\n")
        .commit();
    repo
}

/// The diff of the work tree, which is put back afterwards.
fn diff_and_reset(repo: &Repo) -> Vec<u8> {
    repo.add();
    let diff = repo.git(&["diff", "--cached", "--binary", "-M"]);
    repo.git(&["reset", "--quiet", "--hard"]);
    diff
}

/// A patch file beside the repository that replaces line 10.
fn patch(repo: &Repo, name: &str, line: &str) -> PathBuf {
    repo.write("a.rs", lines(20).replace("line 10", line));
    let file = repo.beside(name);
    std::fs::write(&file, diff_and_reset(repo)).unwrap();
    file
}

/// A branch that replaces line 10, in a commit of its own.
fn branch(repo: &Repo, name: &str, line: &str) {
    repo.git(&["checkout", "--quiet", "-b", name]);
    repo.write("a.rs", lines(20).replace("line 10", line))
        .commit();
    repo.git(&["checkout", "--quiet", "main"]);
}

fn of_patch(path: &Path) -> Value {
    json!({"kind": "patch", "path": path})
}

fn of_branch(name: &str) -> Value {
    json!({"kind": "branch", "name": name})
}

fn of_worktree(path: &Path) -> Value {
    json!({"kind": "worktree", "path": path})
}

async fn client_of(model: &FakeModel) -> Client {
    Client::with(Setup {
        model: model.clone(),
        ..Setup::default()
    })
    .await
}

fn question(repo: &Repo, candidates: &[Value]) -> Value {
    json!({"root": repo.root(), "candidates": candidates})
}

/// What the answer says of each candidate, and of those that failed.
fn told(comparison: &Value) -> Vec<String> {
    let name = |id: &Value| id.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let ranked = comparison["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let same: Vec<String> = it["same"].as_array().unwrap().iter().map(name).collect();
            format!(
                "{} {} {}",
                name(&it["id"]),
                it["reason"].as_str().unwrap(),
                same.join(" ")
            )
        });
    let failed = comparison["failed"].as_array().unwrap().iter();
    let failed =
        failed.map(|it| format!("{}: {}", name(&it["id"]), it["reason"].as_str().unwrap()));
    ranked
        .chain(failed)
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Error message of a request.
async fn refused(client: &Client, method: &str, params: Value) -> String {
    let answer = client.ask(method, params).await;
    answer["error"]["message"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_branches_and_worktrees_are_ranked_best_first() {
    let repo = repository();
    let good = patch(&repo, "good.patch", "let x = 10;");
    let again = patch(&repo, "again.patch", "let  x =  10;");
    let poor = patch(&repo, "poor patch ü.diff", "poor = 3");
    branch(&repo, "agent/bad", "a bad idea");
    // Committed there, changed further, and untracked.
    let tree = repo.linked_worktree("tree");
    let inside = Repo::at(tree.clone());
    inside.write("b.rs", "two\n").commit();
    inside.write("a.rs", lines(20).replace("line 3\n", "let y = 3;\n"));
    inside
        .write("new file.rs", "fn new() {}\n")
        .write("Cargo.lock", "x\n");
    // Nothing of it is a change of the candidates.
    repo.write("later.rs", "x\n").commit();

    let model = FakeModel::default();
    let client = client_of(&model).await;
    let all = [
        of_branch("agent/bad"),
        of_patch(&poor),
        of_patch(&again),
        of_worktree(&tree),
        of_patch(&good),
    ];
    let comparison = client.request(COMPARE, question(&repo, &all)).await;
    let told = told(&comparison);
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(
        told[0].starts_with("again.patch 87% likely correct · "),
        "{told:#?}"
    );
    assert!(
        told[0].ends_with("agreement with the others good.patch"),
        "{told:#?}"
    );
    assert!(told[1].starts_with("tree 87% likely correct"), "{told:#?}");
    assert!(
        told[2].starts_with("poor patch ü.diff 27% likely correct"),
        "{told:#?}"
    );
    assert!(told[3].starts_with("bad 12% likely correct"), "{told:#?}");
    assert_eq!(model.begun.load(Ordering::SeqCst), 5);

    let second = &comparison["candidates"][1];
    assert_eq!(second["candidate"], of_worktree(&tree));
    let files: Vec<String> = second["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            format!(
                "{} {} +{} -{}",
                file["path"].as_str().unwrap(),
                file["status"].as_str().unwrap(),
                file["added"],
                file["removed"]
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            "a.rs modified +1 -1",
            "b.rs modified +1 -1",
            "new file.rs added +1 -0"
        ]
    );
    assert_eq!(
        second["skipped"],
        json!([{"path": "Cargo.lock", "reason": "lock file"}])
    );
    let commit = |name: &str| {
        let id = repo.git(&["rev-parse", "--short=7", name]);
        String::from_utf8(id).unwrap().trim().to_owned()
    };
    assert_eq!(second["base"], commit("HEAD~1"));
    assert_eq!(comparison["candidates"][0]["base"], commit("HEAD"));
    assert_eq!(comparison["withTask"], false);
    assert_eq!(comparison["firstAgainstSecond"][0], "score 87% against 87%");
    let text = comparison["text"].as_str().unwrap();
    assert!(
        text.starts_with("1. ") && text.contains("\n     the same: "),
        "{text}"
    );

    // By the command, and in another order.
    let command = json!({"command": "diffidence.compare", "arguments": [question(&repo, &[all[4].clone(), all[3].clone(), all[1].clone(), all[0].clone(), all[2].clone()])]});
    let by_command = client.request("workspace/executeCommand", command).await;
    assert_eq!(by_command["candidates"], comparison["candidates"]);
    client.goodbye().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_answered_with_the_reason() {
    let repo = repository();
    let good = patch(&repo, "good.patch", "fine");
    let text = repo.beside("text.patch");
    std::fs::write(&text, "no diff\n").unwrap();
    let crash = patch(&repo, "crash.patch", "crash");
    repo.git(&["branch", "same"]);
    let elsewhere = Repo::new();
    elsewhere.write("a.rs", "other\n").commit();
    let client = client_of(&FakeModel::default()).await;
    let gone = repo.beside("gone.patch");
    let all = [
        of_patch(&gone),
        of_patch(&text),
        of_patch(repo.root()),
        of_patch(&crash),
        of_branch("nowhere"),
        of_branch("same"),
        of_worktree(&repo.beside("no folder")),
        of_worktree(elsewhere.root()),
        of_patch(&good),
    ];
    let comparison = client.request(COMPARE, question(&repo, &all)).await;
    let told = told(&comparison);
    let expected = [
        "good.patch 87% likely correct",
        "gone.patch: cannot read ",
        "text.patch: no diff found",
        "repo: ",
        "nowhere: unknown base \"nowhere\": ",
        "same: it changes nothing since ",
        "no folder: there is no folder ",
        &format!(
            "repo: {} has no commit in common with HEAD",
            elsewhere.root().display()
        ),
        "crash.patch: the model crashed: asked to crash",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nnot {expected}");
    }
    assert_eq!(comparison["failed"][0]["candidate"], of_patch(&gone));

    let nowhere = json!({"root": "/", "candidates": [of_patch(&good)]});
    assert!(
        refused(&client, COMPARE, nowhere)
            .await
            .contains("is not inside a git repository")
    );
    let wrong = json!({"root": repo.root(), "candidates": [{"kind": "guess"}]});
    assert!(refused(&client, COMPARE, wrong).await.contains("guess"));
    client.goodbye().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_and_what_is_not_saved_are_taken_into_account() {
    let repo = repository();
    let model = FakeModel::default();
    let client = client_of(&model).await;
    let path = repo.path("a.rs");
    client.open(&path, &lines(20));
    client.change(&path, 2, &lines(20).replace("line 4", "not saved"));
    client
        .until_lens(
            &path,
            Some("87% likely correct · nothing to check · unsaved"),
        )
        .await;
    let mut ask = question(&repo, &[of_worktree(repo.root())]);
    let comparison = client.request(COMPARE, ask.clone()).await;
    assert_eq!(told(&comparison), ["repo 87% likely correct"]);
    client
        .request(
            "diffidence/setTask",
            json!({"root": repo.root(), "task": "of all"}),
        )
        .await;
    assert_eq!(client.request(COMPARE, ask.clone()).await["withTask"], true);
    ask["task"] = json!("of these");
    client.request(COMPARE, ask).await;
    let tasks = model.tasks.lock().unwrap().clone();
    assert!(
        tasks.contains(&Some("of all".into())) && tasks.contains(&Some("of these".into())),
        "{tasks:?}"
    );
    client.goodbye().await;
}

async fn until_state(client: &Client, what: &str, wanted: &str) {
    client
        .until(what, |inbox| {
            let mut all = inbox.notifications.iter().rev();
            let (_, last) = all.find(|(method, _)| method == "diffidence/status")?;
            (last["state"] == wanted).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_can_be_cancelled_and_a_newer_one_takes_its_place() {
    let repo = repository();
    let slow = patch(&repo, "slow.patch", "slow");
    let fine = patch(&repo, "fine.patch", "fine");
    let client = client_of(&FakeModel::default()).await;
    let (id, answer) = client.begin(COMPARE, question(&repo, &[of_patch(&slow)]));
    until_state(&client, "scoring", "scoring").await;
    client.notify("$/cancelRequest", json!({"id": id}));
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer["error"]["code"], -32800);
    until_state(&client, "the model rests", "idle").await;

    let (_, older) = client.begin(COMPARE, question(&repo, &[of_patch(&slow)]));
    until_state(&client, "scoring", "scoring").await;
    let newer = client
        .request(COMPARE, question(&repo, &[of_patch(&fine)]))
        .await;
    assert_eq!(told(&newer), ["fine.patch 87% likely correct"]);
    let older = tokio::time::timeout(PATIENCE, older)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        older["error"]["message"],
        "another comparison was asked for meanwhile"
    );
    client.goodbye().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_goes_before_a_comparison() {
    let repo = repository();
    let slow = patch(&repo, "slow.patch", "slow");
    let model = FakeModel::default();
    let client = client_of(&model).await;
    let (_, answer) = client.begin(COMPARE, question(&repo, &[of_patch(&slow)]));
    until_state(&client, "scoring", "scoring").await;
    let path = repo.path("b.rs");
    client.open(&path, "bad\n");
    client
        .until_lens(
            &path,
            Some("12% likely correct · 1 hunk to check · unsaved"),
        )
        .await;
    model.release.store(true, Ordering::SeqCst);
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(told(&answer["result"]), ["slow.patch 87% likely correct"]);
    client.goodbye().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_candidate_is_told_before_and_after() {
    let repo = repository();
    branch(&repo, "fix", "fixed 😀");
    repo.write("a.rs", "something else since\n").commit();
    let stale = patch(&repo, "stale.patch", "x");
    repo.write("a.rs", "else again\n").commit();
    let client = client_of(&FakeModel::default()).await;
    let ask = |candidate: Value, path: &str| json!({"root": repo.root(), "candidate": candidate, "path": path});
    let file = client.request(FILE, ask(of_branch("fix"), "a.rs")).await;
    assert_eq!(file["before"], lines(20));
    assert_eq!(file["after"], lines(20).replace("line 10", "fixed 😀"));
    assert!(
        file["diff"]
            .as_str()
            .unwrap()
            .contains("\n-line 10\n+fixed 😀\n")
    );
    let reason = refused(&client, FILE, ask(of_branch("fix"), "z.rs")).await;
    assert_eq!(reason, "fix does not change z.rs");
    // The patch is of an older state: there is its diff, and no text.
    let file = client.request(FILE, ask(of_patch(&stale), "a.rs")).await;
    assert_eq!(file["after"], Value::Null);
    assert!(
        file["reason"]
            .as_str()
            .unwrap()
            .starts_with("a.rs: hunk 1 does not fit"),
        "{file}"
    );
    assert!(file["diff"].as_str().unwrap().starts_with("diff --git "));
    client.goodbye().await;
}

/// Does what an editor does with the edit that the server last asked for, on disk.
fn edit_on_disk(client: &Client) -> Value {
    let edit = client.inbox(|inbox| {
        let mut all = inbox.requests.iter().rev();
        let (_, params) = all
            .find(|(method, _)| method == "workspace/applyEdit")
            .unwrap();
        params["edit"].clone()
    });
    let path = |uri: &Value| {
        Url::parse(uri.as_str().unwrap())
            .unwrap()
            .to_file_path()
            .unwrap()
    };
    for change in edit["documentChanges"].as_array().unwrap() {
        match change["kind"].as_str() {
            Some("create") => {
                let path = path(&change["uri"]);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            Some("delete") => std::fs::remove_file(path(&change["uri"])).unwrap(),
            Some("rename") => {
                let to = path(&change["newUri"]);
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::rename(path(&change["oldUri"]), to).unwrap();
            }
            _ => {
                let path = path(&change["textDocument"]["uri"]);
                let mut text = std::fs::read_to_string(&path).unwrap();
                // From the end, so that no edit moves another.
                for edit in change["edits"].as_array().unwrap().iter().rev() {
                    let change = TextDocumentContentChangeEvent {
                        range: serde_json::from_value(edit["range"].clone()).unwrap(),
                        range_length: None,
                        text: edit["newText"].as_str().unwrap().into(),
                    };
                    apply(&mut text, &change, Encoding::Utf16);
                }
                std::fs::write(path, text).unwrap();
            }
        }
    }
    edit
}

/// A repository, and a change of it that does everything at once.
fn many_changes(repo: &Repo) {
    repo.write("ä b.rs", lines(30))
        .write("gone.rs", lines(3))
        .write("from.rs", lines(30));
    repo.write("Cargo.lock", lines(9))
        .write("crlf.txt", lines(9).replace('\n', "\r\n"));
    repo.write("open.txt", "no\nend").commit();
    repo.write(
        "ä b.rs",
        lines(30)
            .replace("line 2\n", "")
            .replace("line 20\n", "😀\nline 20\n"),
    );
    repo.remove("gone.rs").rename("from.rs", "to/where.rs");
    repo.write("to/where.rs", lines(30).replace("line 15", "renamed"));
    repo.write("Cargo.lock", lines(9).replace("line 5", "five"));
    repo.write(
        "crlf.txt",
        lines(9).replace("line 4", "four").replace('\n', "\r\n"),
    );
    repo.write("open.txt", "yes\nend")
        .write("new/deep.rs", "fn new() {}\n")
        .write("empty.rs", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_a_candidate_gives_what_git_gives() {
    for kind in ["patch", "branch", "worktree"] {
        let repo = repository();
        many_changes(&repo);
        let tree = repo.beside("tree");
        let candidate = match kind {
            "patch" => {
                let file = repo.beside("all.patch");
                std::fs::write(&file, diff_and_reset(&repo)).unwrap();
                of_patch(&file)
            }
            _ => {
                repo.git(&["stash", "--quiet", "--include-untracked"]);
                repo.git(&[
                    "worktree",
                    "add",
                    "--quiet",
                    "-b",
                    "side",
                    tree.to_str().unwrap(),
                ]);
                let inside = Repo::at(tree.clone());
                inside.git(&["stash", "pop", "--quiet"]);
                match kind {
                    "branch" => {
                        inside.commit();
                        of_branch("side")
                    }
                    _ => of_worktree(&tree),
                }
            }
        };
        let client = client_of(&FakeModel::default()).await;
        let comparison = client
            .request(COMPARE, question(&repo, std::slice::from_ref(&candidate)))
            .await;
        let digest = &comparison["candidates"][0]["digest"];
        let params = json!({"root": repo.root(), "candidate": candidate, "digest": digest});
        assert_eq!(
            client.request(APPLY, params).await,
            json!({"files": 8}),
            "{kind}"
        );
        edit_on_disk(&client);
        for path in [
            "ä b.rs",
            "to/where.rs",
            "Cargo.lock",
            "crlf.txt",
            "open.txt",
            "new/deep.rs",
            "empty.rs",
        ] {
            let expected = match kind {
                "patch" => {
                    let other = Repo::at(repo.beside("applied"));
                    if !other.root().exists() {
                        repo.git(&[
                            "worktree",
                            "add",
                            "--quiet",
                            "--detach",
                            other.root().to_str().unwrap(),
                        ]);
                        other.git(&["apply", repo.beside("all.patch").to_str().unwrap()]);
                    }
                    other.read(path)
                }
                _ => std::fs::read(tree.join(path)).unwrap(),
            };
            assert_eq!(
                String::from_utf8(repo.read(path)),
                String::from_utf8(expected),
                "{kind}: {path}"
            );
        }
        assert!(!repo.path("gone.rs").exists() && !repo.path("from.rs").exists());
        client.goodbye().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_saved_is_kept_or_the_candidate_refused() {
    let repo = repository();
    let fine = patch(&repo, "fine.patch", "fine");
    let client = client_of(&FakeModel::default()).await;
    let path = repo.path("a.rs");
    let ask = |candidate: &Value| json!({"root": repo.root(), "candidate": candidate});
    client.open(&path, &lines(20));
    let edited = format!("not saved\n{}", lines(20));
    client.change(&path, 2, &edited);
    client.request(APPLY, ask(&of_patch(&fine))).await;
    // Others may have come since, such as to ask for the lenses again.
    let edit = client.inbox(|inbox| {
        let mut asked = inbox.requests.iter().rev();
        let apply = asked.find(|(method, _)| method == "workspace/applyEdit");
        apply.unwrap().1["edit"]["documentChanges"][0].clone()
    });
    assert_eq!(
        edit["textDocument"],
        json!({"uri": uri(&path), "version": 2})
    );
    assert_eq!(
        edit["edits"][0]["range"]["start"],
        json!({"line": 10, "character": 0})
    );
    assert_eq!(edit["edits"][0]["newText"], "fine\n");

    client.change(&path, 3, &edited.replace("line 9\n", "mine\n"));
    let reason = refused(&client, APPLY, ask(&of_patch(&fine))).await;
    assert!(
        reason.ends_with(
            "a.rs: hunk 1 does not fit: the lines around line 7 of its base are not there"
        ),
        "{reason}"
    );

    repo.git(&["checkout", "--quiet", "-b", "without"]);
    repo.remove("a.rs").commit();
    repo.git(&["checkout", "--quiet", "main"]);
    let reason = refused(&client, APPLY, ask(&of_branch("without"))).await;
    assert_eq!(
        reason,
        "without cannot be applied: a.rs: it has unsaved edits: save it first"
    );
    client.goodbye().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_ranked_is_applied_and_only_by_an_editor_that_can() {
    let repo = repository();
    let moving = patch(&repo, "moving.patch", "fine");
    let client = client_of(&FakeModel::default()).await;
    let candidate = of_patch(&moving);
    let comparison = client
        .request(COMPARE, question(&repo, std::slice::from_ref(&candidate)))
        .await;
    let digest = &comparison["candidates"][0]["digest"];
    patch(&repo, "moving.patch", "another");
    let ask = json!({"root": repo.root(), "candidate": candidate, "digest": digest});
    let reason = refused(&client, APPLY, ask.clone()).await;
    assert!(
        reason.ends_with("moving.patch has changed since it was compared: compare again"),
        "{reason}"
    );
    client.goodbye().await;

    let setup = Setup {
        applies_edits: false,
        ..Setup::default()
    };
    let client = Client::with(setup).await;
    assert_eq!(
        refused(&client, APPLY, ask).await,
        "this editor does not let a server edit files"
    );

    // What is no text is not half done.
    repo.write("image.bin", [0, 1, 2]).write("b.rs", "two\n");
    std::fs::write(&moving, diff_and_reset(&repo)).unwrap();
    drop(client);
    let client = client_of(&FakeModel::default()).await;
    let ask = json!({"root": repo.root(), "candidate": of_patch(&moving)});
    let reason = refused(&client, APPLY, ask).await;
    assert!(reason.contains("it changes binary files, too"), "{reason}");
    client.goodbye().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_and_worktrees_are_offered() {
    let repo = repository();
    branch(&repo, "agent/one", "x");
    let tree = repo.linked_worktree("tree");
    repo.git(&["update-ref", "refs/remotes/origin/two", "HEAD"]);
    repo.git(&[
        "symbolic-ref",
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/two",
    ]);
    let client = client_of(&FakeModel::default()).await;
    let place = |root: &Path| json!({"root": root});
    let choices = client
        .request("diffidence/candidates", place(repo.root()))
        .await;
    assert_eq!(
        choices["branches"],
        json!(["agent/one", "tree", "origin/two"])
    );
    assert_eq!(choices["worktrees"], json!([tree]));
    let choices = client.request("diffidence/candidates", place(&tree)).await;
    assert_eq!(
        choices["branches"],
        json!(["agent/one", "main", "origin/two"])
    );
    assert_eq!(choices["worktrees"], json!([repo.root()]));
    client.goodbye().await;
}
