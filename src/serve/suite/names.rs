//! What a path says: whether it is that of a test, or of a file that only the runner of tests reads.
//!
//! The layouts are the usual ones of the common languages, and what their runners look for unless
//! they are told otherwise. This file must not know what is in a file.

use super::words;

/// Whether a path is that of a test, of what tests compare with, or of what they share.
pub(super) fn is_test(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    // Where Maven keeps tests that need the whole program; elsewhere `it` is a language.
    let of_maven = folders.windows(2).any(|pair| pair == ["src", "it"]);
    of_maven || folders.into_iter().any(is_folder_of_tests) || is_name_of_test(name)
}

fn is_folder_of_tests(folder: &str) -> bool {
    const WHOLE: [&str; 9] = [
        "testing",
        "spec",
        "specs",
        "testdata",
        "unittest",
        "unittests",
        "cypress",
        "__snapshots__",
        "__mocks__",
    ];
    let words = words(folder);
    let is_test = |word: Option<&String>| word.is_some_and(|it| it == "test" || it == "tests");
    WHOLE.contains(&folder.to_ascii_lowercase().as_str())
        // `__tests__`, `unit-test`, `integration_tests`, `Foo.Tests`, `androidTest`, `test_data`.
        || is_test(words.first())
        || is_test(words.last())
        || words.iter().any(|word| word == "e2e")
}

fn is_name_of_test(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let (stem, extension) = match parts[..] {
        [stem, .., extension] => (stem, extension),
        _ => (name, ""),
    };
    // JavaScript's `a.test.ts`, `a.cy.ts` and `a.e2e-spec.ts`, Pester's `A.Tests.ps1`.
    let between = parts.get(1..parts.len().saturating_sub(1));
    let in_between = between.unwrap_or_default().iter().any(|part| {
        let words = words(part);
        let last = words.last().map(String::as_str).unwrap_or_default();
        ["test", "tests", "spec", "cy", "e2e"].contains(&last)
    });
    // Of Bats, Cucumber, Robot Framework, Perl, and what snapshots of Jest and Insta expect.
    let by_extension = ["bats", "feature", "robot", "t", "snap"].contains(&extension);
    in_between || by_extension || is_stem_of_test(stem, extension)
}

fn is_stem_of_test(stem: &str, extension: &str) -> bool {
    let is_of = |extensions: &[&str]| extensions.contains(&extension);
    let of_jvm = is_of(&["java", "kt", "groovy", "scala"]);
    let of_script = is_of(&["js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts"]);
    let low = stem.to_ascii_lowercase();
    let words = words(stem);
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        [.., "test" | "tests" | "unittest" | "unittests"] => true,
        // `FooTestCase`.
        [.., "test", "case"] => true,
        [.., "spec"] if low.ends_with("_spec") || (of_script && low.ends_with("-spec")) => true,
        // `test_a.py`, and `test-a.js` as Node.js has it.
        ["test", ..] if low.starts_with("test_") || low.starts_with("test-") => true,
        // What Surefire and Failsafe run.
        ["test" | "it", _, ..] | [_, .., "it"] | [_, .., "it", "case"] if of_jvm => {
            let at_word = |mark: &str| stem.starts_with(mark) || stem.ends_with(mark);
            at_word("Test") || at_word("IT") || stem.ends_with("ITCase")
        }
        // `test1.py`: unittest looks for `test*.py`, of which `testimonial.py` is none.
        [only] => only.trim_end_matches(|it: char| it.is_ascii_digit()) == "test",
        _ => false,
    }
}

/// Whether a file is there for the runner of tests alone.
pub(super) fn decides_how_tests_run(path: &str) -> bool {
    const NAMES: [&str; 15] = [
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "tox.ini",
        "tox.toml",
        "noxfile.py",
        "nose.cfg",
        // Python runs these before any test.
        "sitecustomize.py",
        "usercustomize.py",
        "spec_helper.rb",
        "rails_helper.rb",
        ".rspec",
        "cypress.json",
    ];
    const STARTS: [&str; 15] = [
        "jest.config.",
        "jest.preset.",
        "jest.setup.",
        "vitest.config.",
        "vitest.setup.",
        "vitest.workspace.",
        "karma.conf.",
        "playwright.config.",
        "playwright-ct.config.",
        "cypress.config.",
        ".mocharc",
        "ava.config.",
        "wdio.conf.",
        "nightwatch.conf.",
        "phpunit.xml",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_known_by_their_path() {
        let check = |path: &str| assert!(is_test(path), "{path}");
        for path in [
            "tests/a.py",
            "src/Tests/a.cs",
            "src/test/java/A.java",
            "pkg/testdata/in.json",
            "web/__tests__/a.js",
            "web/__snapshots__/a.js.snap",
            "web/__mocks__/a.js",
            "integration_tests/a.py",
            "unit-test/a.py",
            "unit_tests/a.py",
            "unittests/a.cpp",
            "functional-tests/a.php",
            "app-e2e/src/a.ts",
            "e2e/a.ts",
            "cypress/support/commands.js",
            "src/androidTest/A.kt",
            "src/testFixtures/A.java",
            "src/it/a.java",
            "Foo.Tests/a.cs",
            "MyAppUITests/a.swift",
            "spec/models/a.rb",
            "a/test_b.py",
            "a/test1.py",
            "tests.py",
            "b_test.go",
            "foo_unittest.cc",
            "web/a-test.js",
            "web/a-spec.js",
            "web/test-a.mjs",
            "web/a.spec.ts",
            "a.test.js",
            "a.cy.ts",
            "app.e2e-spec.ts",
            "A.Tests.ps1",
            "a_spec.rb",
            "src/FooTest.java",
            "src/FooTests.swift",
            "src/FooTestCase.java",
            "src/FooTestCase.php",
            "src/main/TestFoo.java",
            "src/FooIT.java",
            "src/ITFoo.java",
            "src/FooITCase.java",
            "a.bats",
            "features/a.feature",
            "t/a.t",
        ] {
            check(path);
        }
    }

    #[test]
    fn other_files_only_sound_like_tests() {
        let check = |path: &str| assert!(!is_test(path), "{path}");
        for path in [
            "latest.py",
            "latest/a.py",
            "contest/a.py",
            "src/contest.rs",
            "inspect.py",
            "src/attest.rs",
            "src/attestation/a.go",
            "protest.md",
            "greatest.js",
            "pentest/a.py",
            "src/Testament.java",
            "src/Contest.java",
            "src/LATEST.java",
            "src/EDIT.java",
            "src/ITunes.java",
            "src/Item.java",
            "src/Iterator.java",
            "src/It.java",
            "src/main/KeySpec.java",
            "src/makeIt.kt",
            "locales/it/a.json",
            "testing_utils/a.py",
            "testimonials.py",
            "testify.go",
            "api-spec.yaml",
            "special/a.py",
            "spectrum.py",
            "feature.py",
            "a.ts",
            "t.rs",
            "README.md",
            ".gitignore",
            "Makefile",
        ] {
            check(path);
        }
    }

    #[test]
    fn some_files_are_there_for_the_runner_alone() {
        let check = |path: &str, expect| assert_eq!(decides_how_tests_run(path), expect, "{path}");
        for path in [
            "conftest.py",
            "a/conftest.py",
            "pytest.ini",
            "tox.ini",
            "noxfile.py",
            "spec_helper.rb",
            "rails_helper.rb",
            "web/jest.config.js",
            "playwright.config.ts",
            "cypress.config.js",
            ".mocharc.yml",
            ".mocharc",
            "phpunit.xml.dist",
        ] {
            check(path, true);
        }
        for path in [
            "config.py",
            "vite.config.ts",
            "jest.md",
            "setup.cfg",
            "mocharc.md",
        ] {
            check(path, false);
        }
    }
}
