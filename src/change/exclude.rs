//! Why a changed file is not judged.
//!
//! Invariant: every reason is a sentence a person can act on. The rules look at names, attributes
//! and contents only; this module must not know where they come from.

use std::fmt;

/// Bytes in which a NUL makes a file binary; git's rule.
const BINARY_PROBE: usize = 8_000;

/// First bytes of the text that Git LFS stores in place of a large file.
const LFS_HEADER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Files that package managers write, by base name.
const LOCK_FILES: &[&str] = &[
    "Cargo.lock",
    "Gemfile.lock",
    "Package.resolved",
    "Pipfile.lock",
    "Podfile.lock",
    "bun.lock",
    "bun.lockb",
    "cabal.project.freeze",
    "composer.lock",
    "conan.lock",
    "deno.lock",
    "flake.lock",
    "go.sum",
    "go.work.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "paket.lock",
    "pdm.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pubspec.lock",
    "uv.lock",
    "yarn.lock",
];

/// Ends of names of generated or minified files.
const GENERATED_ENDINGS: &[&str] = &[
    ".min.js",
    ".min.css",
    ".min.mjs",
    ".bundle.js",
    ".js.map",
    ".css.map",
    ".pb.go",
    ".pb.cc",
    ".pb.h",
    ".pb.rs",
    "_pb2.py",
    "_pb2.pyi",
    "_pb2_grpc.py",
    ".g.dart",
    ".freezed.dart",
    ".g.cs",
    ".designer.cs",
    ".snap",
];

/// Why a file is not judged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// The path is a submodule in the base or now.
    Submodule,
    /// The path is another repository inside the work tree that is not a submodule.
    NestedRepository,
    /// The path has unresolved merge conflicts.
    Conflict,
    /// The path is a symbolic link in the base or now.
    Symlink,
    /// The path is ignored by `.gitignore` or another exclude file and not tracked.
    Ignored,
    /// The path is not valid UTF-8.
    PathNotUtf8,
    /// A NUL byte near the start of the file.
    Binary,
    /// A Git LFS pointer in place of the content.
    LfsPointer,
    /// The content passes through a filter program, which is never run.
    FilterDriver {
        /// Name of the driver in the git configuration.
        name: String,
    },
    /// More bytes than the limit.
    TooLarge {
        /// Size of the file.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More lines than the limit.
    TooManyLines {
        /// Lines of the file.
        lines: u32,
        /// The limit.
        limit: u32,
    },
    /// `linguist-generated` in `.gitattributes`.
    MarkedGenerated,
    /// `-diff` in `.gitattributes`.
    NoDiff,
    /// The name is that of generated or minified code.
    GeneratedName,
    /// The name is that of a package manager's lock file.
    LockFile,
    /// The content is not valid UTF-8.
    NotUtf8,
    /// Reading failed.
    Unreadable {
        /// What the system said, in one line.
        why: String,
    },
}

impl SkipReason {
    /// The reason that a path alone gives, for a diff that came without its repository.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        by_name(path, &Attributes::default())
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Submodule => out.write_str("submodule: check it in its own work tree"),
            SkipReason::NestedRepository => {
                out.write_str("another git repository: check it in its own work tree")
            }
            SkipReason::Conflict => out.write_str("merge conflicts: resolve them first"),
            SkipReason::Symlink => out.write_str("symbolic link"),
            SkipReason::Ignored => out.write_str("ignored by git"),
            SkipReason::PathNotUtf8 => out.write_str("its path is not valid UTF-8"),
            SkipReason::Binary => out.write_str("binary file"),
            SkipReason::LfsPointer => out.write_str("stored in Git LFS"),
            SkipReason::FilterDriver { name } => {
                write!(out, "passes through the filter program {name:?}, which is never run")
            }
            SkipReason::TooLarge { bytes, limit } => {
                write!(out, "{bytes} bytes, more than the limit of {limit} (`maxFileBytes`)")
            }
            SkipReason::TooManyLines { lines, limit } => {
                write!(out, "{lines} lines, more than the limit of {limit}")
            }
            SkipReason::MarkedGenerated => {
                out.write_str("marked linguist-generated in .gitattributes")
            }
            SkipReason::NoDiff => out.write_str("marked -diff in .gitattributes"),
            SkipReason::GeneratedName => out.write_str(
                "named like a generated file: set -linguist-generated in .gitattributes to check it",
            ),
            SkipReason::LockFile => out.write_str("lock file"),
            SkipReason::NotUtf8 => out.write_str("not UTF-8 text"),
            SkipReason::Unreadable { why } => write!(out, "cannot be read: {why}"),
        }
    }
}

/// What `.gitattributes` says about a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// `linguist-generated`, if it is mentioned.
    pub(super) generated: Option<bool>,
    /// `-diff` (or `binary`).
    pub(super) no_diff: bool,
    /// `filter=NAME`, if a driver of that name is configured.
    pub(super) filter: Option<String>,
}

/// The reason to skip a file that its name and attributes alone give.
pub(super) fn by_name(path: &str, attributes: &Attributes) -> Option<SkipReason> {
    if attributes.generated == Some(true) {
        return Some(SkipReason::MarkedGenerated);
    }
    if attributes.no_diff {
        return Some(SkipReason::NoDiff);
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if LOCK_FILES.contains(&name) {
        return Some(SkipReason::LockFile);
    }
    let generated = attributes.generated.is_none() && {
        let name = name.to_ascii_lowercase();
        GENERATED_ENDINGS
            .iter()
            .any(|ending| name.ends_with(ending))
    };
    generated.then_some(SkipReason::GeneratedName)
}

/// The text of a file, or the reason why it has none.
pub(super) fn text(data: Vec<u8>, max_lines: u32) -> Result<String, SkipReason> {
    if data[..data.len().min(BINARY_PROBE)].contains(&0) {
        return Err(SkipReason::Binary);
    }
    if data.starts_with(LFS_HEADER) {
        return Err(SkipReason::LfsPointer);
    }
    let text = String::from_utf8(data).map_err(|_| SkipReason::NotUtf8)?;
    let lines = super::diff::line_count(&text);
    if lines > max_lines {
        return Err(SkipReason::TooManyLines {
            lines,
            limit: max_lines,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn names() {
        let none = Attributes::default();
        let check = |path, attributes: &Attributes, expect| {
            assert_eq!(by_name(path, attributes), expect, "{path}");
        };
        check("a/Cargo.lock", &none, Some(SkipReason::LockFile));
        check("Cargo.lock.rs", &none, None);
        check("dist/App.MIN.js", &none, Some(SkipReason::GeneratedName));
        check("src/admin.js", &none, None);
        let written = Attributes {
            generated: Some(false),
            ..none.clone()
        };
        check("x.min.js", &written, None);
        let marked = Attributes {
            generated: Some(true),
            ..none.clone()
        };
        check("x.rs", &marked, Some(SkipReason::MarkedGenerated));
        let no_diff = Attributes {
            no_diff: true,
            ..none
        };
        check("x.rs", &no_diff, Some(SkipReason::NoDiff));
    }

    #[test]
    fn contents() {
        let check = |data: &[u8], expect: Result<&str, SkipReason>| {
            assert_eq!(text(data.to_vec(), 3), expect.map(str::to_owned));
        };
        check(b"a\n", Ok("a\n"));
        check(b"a\0", Err(SkipReason::Binary));
        check(b"\xff\n", Err(SkipReason::NotUtf8));
        check(
            b"1\n2\n3\n4",
            Err(SkipReason::TooManyLines { lines: 4, limit: 3 }),
        );
        check(
            b"version https://git-lfs.github.com/spec/v1\noid",
            Err(SkipReason::LfsPointer),
        );
        let mut late = vec![b'a'; BINARY_PROBE];
        late.push(0);
        assert!(text(late, 3).is_ok());
    }

    #[test]
    fn reasons_are_one_line() {
        for reason in [
            SkipReason::Submodule,
            SkipReason::TooLarge { bytes: 2, limit: 1 },
            SkipReason::FilterDriver {
                name: "a\nb".into(),
            },
        ] {
            assert_eq!(reason.to_string().lines().count(), 1);
        }
    }
}
