//! A language model on disk becomes a judge: `diffidence model import`, `list`, `verify` and `use`,
//! then `check` with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use std::path::{Path, PathBuf};
use support::Repo;
use support::lsp::uri;
use support::program::{Editor, program};

struct Bench {
    repo: Repo,
    home: tempfile::TempDir,
}

impl Bench {
    /// A repository with an edit, and a tiny mixture of experts as Hugging Face writes it.
    fn new() -> Self {
        let bench = Self {
            repo: Repo::new(),
            home: tempfile::tempdir().unwrap(),
        };
        bench.repo.write("a.py", "x = 1\n").add().commit();
        bench.repo.write("a.py", "x = 2\n");
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifiers");
        std::fs::create_dir(bench.source()).unwrap();
        for file in [
            "qwen3-moe/config.json",
            "qwen3-moe/model.safetensors",
            "tokenizer.json",
        ] {
            let from = fixtures.join(file);
            std::fs::copy(&from, bench.source().join(from.file_name().unwrap())).unwrap();
        }
        bench
    }

    fn source(&self) -> PathBuf {
        self.home.path().join("source")
    }

    /// The output, after the expected exit code.
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let output = program(&self.home.path().join("cache"))
            .current_dir(self.repo.root())
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn an_imported_model_is_listed_verified_used_and_given_up() {
    let bench = Bench::new();
    let source = bench.source();
    let import = ["model", "import", source.to_str().unwrap(), "--name", "moe"];
    let said = bench.run(&import, 0);
    says(
        &said,
        &[
            "moe@",
            "\"YES\"",
            "\"NO\"",
            "memory",
            "linked",
            "uncalibrated",
        ],
    );
    says(&bench.run(&import, 2), &["moe"]);

    says(
        &bench.run(&["model", "list"], 0),
        &["* diffidence-small@", "  moe@"],
    );
    says(
        &bench.run(&["model", "verify", "moe"], 0),
        &["moe@", "logit"],
    );
    let by_name = ["check", "--fail-on", "never", "--model", "moe"];
    says(&bench.run(&by_name, 0), &["moe@"]);
    says(&bench.run(&["model", "use", "moe"], 0), &["moe@"]);
    let listed = bench.run(&["model", "list"], 0);
    says(&listed, &["* moe@", "  diffidence-small@"]);
    says(&bench.run(&["model", "verify", "bundled"], 0), &["logit"]);

    let never = ["check", "--fail-on", "never"];
    says(&bench.run(&never, 0), &["a.py", "moe@", "uncalibrated"]);
    let json = bench.run(&[&never[..], &["--format", "json"]].concat(), 0);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    says(&report.to_string(), &["\"uncalibrated\"", "\"moe"]);

    let mut command = program(&bench.home.path().join("cache"));
    command.arg("lsp");
    let mut editor = Editor::start(command, json!({}));
    let path = bench.repo.root().join("a.py");
    editor.open(&path, "x = 2\n");
    editor.until_lens(&path, |title| {
        title.is_some_and(|title| title.contains("likely correct · uncalibrated"))
    });
    let place =
        json!({"textDocument": {"uri": uri(&path)}, "position": {"line": 0, "character": 0}});
    let hover = editor.request("textDocument/hover", place);
    says(&hover.to_string(), &["moe@", "uncalibrated"]);
    editor.goodbye();

    bench.run(&["model", "use", "bundled"], 0);
    let again = bench.run(&never, 0);
    says(&again, &["diffidence-small@"]);
    assert!(!again.contains("uncalibrated"), "{again}");

    // One that is chosen and gone is told wherever it would be used, and the others still listed.
    bench.run(&["model", "use", "moe"], 0);
    let models = bench.home.path().join("cache/data/models");
    std::fs::rename(models.join("moe"), models.join(".making-moe")).unwrap();
    for command in [&["model", "list"][..], &never] {
        let said = bench.run(command, 2);
        says(&said, &["not in", "moe", "any more", "model use bundled"]);
        assert!(!said.contains("moe@"), "{said}");
    }
    says(&bench.run(&["model", "list"], 2), &["diffidence-small@"]);
}

#[test]
fn a_file_of_llama_cpp_is_imported_by_its_name() {
    let bench = Bench::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifiers");
    // Some stores name files by their content, so the ending is not what tells the format.
    for (name, called) in [
        ("tiny-coder.Q4_K_M.gguf", "tiny-coder.Q4_K_M@"),
        ("upper.GGUF", "upper@"),
        ("tiny-2.5-coder", "tiny-2.5-coder@"),
    ] {
        let file = bench.home.path().join(name);
        std::fs::copy(fixtures.join("qwen3moe-q4_k_m.gguf"), &file).unwrap();
        let said = bench.run(&["model", "import", file.to_str().unwrap()], 0);
        says(&said, &[called, "qwen3_moe", "\"YES\""]);
    }
    let file = bench.home.path().join("notes.txt");
    std::fs::write(&file, "GGU").unwrap();
    let said = bench.run(&["model", "import", file.to_str().unwrap()], 2);
    says(&said, &["notes.txt", "is no GGUF file"]);
    bench.run(&["model", "use", "tiny-coder.Q4_K_M"], 0);
    let said = bench.run(&["check", "--fail-on", "never"], 0);
    says(&said, &["a.py", "tiny-coder.Q4_K_M@", "uncalibrated"]);
}

/// Only the first token of an answer is compared, so that is what is told.
#[test]
fn answers_of_several_tokens() {
    let bench = Bench::new();
    let source = bench.source();
    let import = |name: &str, yes: &str, no: &str, code| {
        let wanted = ["--name", name, "--yes", yes, "--no", no];
        let import = ["model", "import", source.to_str().unwrap()];
        bench.run(&[&import[..], &wanted].concat(), code)
    };
    let said = import("long", "YES", "wrong", 0);
    says(
        &said,
        &["\"YES\" (257) and \"w\" (86), the first token of \"wrong\"\n"],
    );
    let bundle = bench.home.path().join("cache/data/models/long/bundle.json");
    let bundle: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
    let stated = json!({"yes": {"text": "YES", "id": 257},
        "no": {"text": "w", "id": 86, "begins": "wrong"}});
    assert_eq!(bundle["answers"], stated);
    says(&bench.run(&["model", "verify", "long"], 0), &["long@"]);

    let said = import("both", "good", "great", 2);
    says(
        &said,
        &["\"good\" and \"great\"", "the same token, \"g\"", "`--yes`"],
    );
    says(&import("none", "YES", "", 2), &["\"\" is no token"]);
}

#[test]
fn a_template_of_ones_own_is_checked() {
    let bench = Bench::new();
    let file = bench.home.path().join("template.txt");
    let import = |name: &str, template: &str, code| {
        std::fs::write(&file, template).unwrap();
        let [source, file] = [bench.source(), file.clone()].map(|it| it.display().to_string());
        let wanted = ["--name", name, "--template", &file];
        bench.run(&[&["model", "import", &source][..], &wanted].concat(), code)
    };
    // The one that the README shows.
    let readme = include_str!("../README.md");
    let (_, shown) = readme.split_once("```text\n%% shared").unwrap();
    let shown = format!("%% shared{}", shown.split_once("```").unwrap().0);
    let said = import("shown", &shown, 0);
    says(&said, &["custom@"]);
    assert!(!said.contains("not told"), "{said}");
    let score = ["check", "--fail-on", "never", "--model"];
    let folder = bench.home.path().join("cache/data/models/shown");
    let said = bench.run(&[&score[..], &[folder.to_str().unwrap()]].concat(), 0);
    says(&said, &["a.py", "shown@"]);

    let said = import("silent", &shown.replace("{task}", ""), 0);
    says(&said, &["task ", "not told", "{task}"]);
    let said = import("wrong", &shown.replace("{task}", "{problem}"), 2);
    says(&said, &["template.txt", "{problem}", "{task}"]);
}

#[test]
fn what_cannot_be_used_is_refused_with_what_is_wrong() {
    let bench = Bench::new();
    let source = bench.source();
    let folder = source.to_str().unwrap();
    let import = |name: &str, code| {
        let out = bench.run(&["model", "import", folder, "--name", name], code);
        (out, bench.home.path().join("cache/data/models").join(name))
    };
    let (_, whole) = import("whole", 0);
    let mut files = std::fs::read_dir(&whole)
        .unwrap()
        .map(|file| file.unwrap().path());
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|it| it == "safetensors");
    let weights = files.find(is_weights).unwrap();
    let mut bytes = std::fs::read(&weights).unwrap();
    // Another file in its place: the weights are linked, and the source must stay as it is.
    std::fs::remove_file(&weights).unwrap();
    std::fs::write(&weights, &bytes).unwrap();
    bench.run(&["model", "verify", "whole"], 0);
    let modified = std::fs::metadata(&weights).unwrap().modified().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&weights).unwrap();
    file.set_modified(modified).unwrap();
    let doctor = ["doctor", "--model", whole.to_str().unwrap()];
    says(&bench.run(&doctor, 2), &["sha256", "safetensors"]);
    says(
        &bench.run(&["model", "verify", "whole"], 2),
        &["sha256", "safetensors"],
    );

    let config = source.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("qwen3_moe", "mamba")).unwrap();
    says(&import("mamba", 2).0, &["config.json", "mamba"]);
    std::fs::write(&config, &text[..text.len() / 2]).unwrap();
    says(&import("cut", 2).0, &["config.json"]);
    std::fs::write(&config, text).unwrap();
    std::fs::write(source.join("model.safetensors"), [0xff; 64]).unwrap();
    let (said, folder) = import("hostile", 2);
    says(&said, &["model.safetensors"]);
    assert!(!folder.exists(), "half a bundle was left behind");
    says(&bench.run(&["model", "use", "nothing"], 2), &["nothing"]);
}
