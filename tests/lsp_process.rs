//! The language server as a process: what it costs when idle, and how it ends with its client.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;
#[path = "support/tiny_bundle.rs"]
mod tiny_bundle;

use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::Repo;
use support::program::{Editor, program, until};
use tiny_bundle::TinyBundle;

const BASE: &str = "one\ntwo\nthree\n";
const EDITED: &str = "one\n2\nthree\n";

struct Bench {
    repo: Repo,
    model: TinyBundle,
    cache: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let repo = Repo::new();
        repo.write("a.rs", BASE).commit().write("a.rs", EDITED);
        Self {
            repo,
            model: TinyBundle::new(),
            cache: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.repo.path("a.rs")
    }

    fn server(&self) -> Command {
        let mut command = program(self.cache.path());
        command.env("DIFFIDENCE_MODEL", self.model.dir()).arg("lsp");
        command
    }

    /// A server on behalf of a process, with one scored document.
    fn editor(&self, process: u32) -> Editor {
        let mut editor = Editor::of_process(process, self.server(), json!({}));
        editor.open(&self.path(), EDITED);
        editor.until_lens(&self.path(), is_scored);
        editor
    }
}

fn is_scored(title: Option<&str>) -> bool {
    title.is_some_and(|title| title.contains("likely correct"))
}

/// Processor time in clock ticks.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let number = |index| -> u64 { fields.split(' ').nth(index).unwrap().parse().unwrap() };
    number(12) + number(13)
}

/// Gone, or dead and not yet waited for by its parent.
fn is_gone(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, fields)| fields.starts_with(" Z"))
}

/// Two seconds must come in which it uses no time; all that it has left to do ends before.
#[test]
fn an_idle_server_uses_no_processor_time() {
    let bench = Bench::new();
    let editor = bench.editor(std::process::id());
    let id = editor.child.id();
    until("two seconds without work", || {
        let before = ticks(id);
        std::thread::sleep(Duration::from_secs(2));
        ticks(id) == before
    });
    editor.goodbye();
}

/// Its pipes stay open, as when another process has inherited them.
#[test]
fn it_ends_when_the_process_of_its_client_is_killed() {
    let mut client = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let bench = Bench::new();
    let mut editor = bench.editor(client.id());
    client.kill().unwrap();
    client.wait().unwrap();
    until("the server's end", || {
        editor.child.try_wait().unwrap().is_some()
    });
}

/// The client gives no process and holds the only end of the pipe.
#[test]
fn it_ends_when_the_client_that_started_it_is_killed() {
    let bench = Bench::new();
    let folder = bench.cache.path();
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"processId": null, "rootUri": null, "capabilities": {}}})
    .to_string();
    let message = format!("Content-Length: {}\r\n\r\n{initialize}", initialize.len());
    std::fs::write(folder.join("message"), message).unwrap();
    let script = "mkfifo pipe && \"$PROGRAM\" lsp < pipe > answers & echo $! > server.tmp
        mv server.tmp server; until [ -p pipe ]; do :; done
        exec 9> pipe; cat message >&9; exec cat 9>&9";
    let server = bench.server();
    let mut client = Command::new("sh");
    client
        .args(["-c", script])
        .current_dir(folder)
        .env("PROGRAM", server.get_program())
        .stdin(Stdio::piped());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => client.env(name, value),
            None => client.env_remove(name),
        };
    }
    let mut client = client.spawn().unwrap();
    let answers = folder.join("answers");
    until("the server's answer", || {
        std::fs::read_to_string(&answers).is_ok_and(|text| text.contains("serverInfo"))
    });
    let id = std::fs::read_to_string(folder.join("server")).unwrap();
    assert!(!is_gone(id.trim()));
    client.kill().unwrap();
    client.wait().unwrap();
    until("the server's end", || is_gone(id.trim()));
}

/// Without its weights the model cannot be loaded, and the server says what it is doing.
#[test]
fn a_remembered_score_is_shown_after_a_restart_without_the_model() {
    let bench = Bench::new();
    let mut first = Editor::start(bench.server(), json!({}));
    first.open(&bench.path(), EDITED);
    let lens = first.until_lens(&bench.path(), is_scored);
    first.receive(|message| message["params"]["state"] == "loading");
    first.goodbye();

    std::fs::remove_file(bench.model.file("trunk.gguf")).unwrap();
    let mut second = Editor::start(bench.server(), json!({}));
    second.open(&bench.path(), EDITED);
    let again = second.until_lens(&bench.path(), |title| title.is_some());
    assert_eq!(again, lens);
    // A second document is as good as new: the first is all that is remembered.
    let other = bench.repo.path("b.rs");
    second.open(&other, "new\n");
    second.until_lens(&other, |title| {
        title.is_some_and(|title| title.contains("trunk.gguf"))
    });
    let mut told = Vec::new();
    while told.last().is_none_or(|state| state != "degraded") {
        let status = second.receive(|message| message["method"] == "diffidence/status");
        told.push(status["params"]["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["idle", "loading", "degraded"]);
    second.goodbye();
}
