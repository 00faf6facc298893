//! What a file holds, as far as its name tells: code of some language, prose, or data.
//!
//! Invariant: a name says the same wherever it is asked. Names of languages are those that model
//! bundles list. This module must not know who can judge or parse what.

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Program text.
    Code(Language),
    /// Text for people.
    Prose,
    /// Text for programs that is not run: records, settings, pictures as text.
    Data,
    /// The name does not tell.
    Unknown,
}

/// A programming, markup or query language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// For people.
    pub name: &'static str,
    /// What bundles call it. A header may be of two languages.
    pub ids: &'static [&'static str],
}

impl Content {
    /// What the name of the file at `path` tells; `path` has forward slashes.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let lower = name.to_ascii_lowercase();
        // A leading dot starts no ending: `.py` alone is no Python.
        let (stem, ending) = match lower.rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() => (stem, ending),
            _ => (lower.as_str(), ""),
        };
        if let Some(&(_, name, ids)) = CODE_NAMES.iter().find(|(known, ..)| *known == lower) {
            return Self::Code(Language { name, ids });
        }
        if DATA_NAMES.contains(&lower.as_str()) {
            return Self::Data;
        }
        let has = |endings: &[&str]| endings.contains(&ending);
        let code = LANGUAGES.iter().find(|(_, _, endings)| has(endings));
        if let Some(&(name, ids, _)) = code {
            Self::Code(Language { name, ids })
        } else if has(PROSE) || (ending.is_empty() && PROSE_NAMES.contains(&stem)) {
            Self::Prose
        } else if has(DATA) {
            Self::Data
        } else {
            Self::Unknown
        }
    }
}

/// Name, what bundles call it, endings.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const LANGUAGES: &[Row] = &[
    ("Python", &["python"], &["py", "pyi", "pyw"]),
    ("Rust", &["rust"], &["rs"]),
    ("JavaScript", &["javascript"], &["js", "jsx", "mjs", "cjs"]),
    ("TypeScript", &["typescript"], &["ts", "tsx", "mts", "cts"]),
    ("Java", &["java"], &["java"]),
    ("Go", &["go"], &["go"]),
    ("C", &["c"], &["c"]),
    // Which of the two a header belongs to, its name does not tell.
    ("C", &["c", "cpp"], &["h", "inl"]),
    (
        "C++",
        &["cpp"],
        &["cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++", "ipp"],
    ),
    ("C#", &["csharp"], &["cs"]),
    ("Ruby", &["ruby"], &["rb", "rake", "gemspec", "ru"]),
    ("PHP", &["php"], &["php", "phtml"]),
    ("Kotlin", &["kotlin"], &["kt", "kts"]),
    ("Swift", &["swift"], &["swift"]),
    ("Scala", &["scala"], &["scala", "sc", "sbt"]),
    ("Haskell", &["haskell"], &["hs", "lhs"]),
    ("OCaml", &["ocaml"], &["ml", "mli"]),
    ("F#", &["fsharp"], &["fs", "fsi", "fsx"]),
    ("Visual Basic", &["vb"], &["vb", "vbs", "bas"]),
    ("Clojure", &["clojure"], &["clj", "cljs", "cljc", "edn"]),
    ("Elixir", &["elixir"], &["ex", "exs"]),
    ("Erlang", &["erlang"], &["erl", "hrl"]),
    ("Lisp", &["lisp"], &["lisp", "lsp", "el", "scm", "rkt"]),
    ("Lua", &["lua"], &["lua"]),
    ("Perl", &["perl"], &["pl", "pm", "t"]),
    ("R", &["r"], &["r", "rmd"]),
    ("Julia", &["julia"], &["jl"]),
    ("Dart", &["dart"], &["dart"]),
    ("Zig", &["zig"], &["zig"]),
    ("Nim", &["nim"], &["nim"]),
    ("Crystal", &["crystal"], &["cr"]),
    ("D", &["d"], &["d"]),
    ("Groovy", &["groovy"], &["groovy", "gradle"]),
    ("Objective-C", &["objectivec"], &["mm"]),
    ("Cython", &["cython"], &["pyx", "pxd"]),
    ("Fortran", &["fortran"], &["f", "f90", "f95", "f03"]),
    ("Ada", &["ada"], &["adb", "ads"]),
    ("Pascal", &["pascal"], &["pas", "pp"]),
    ("assembly", &["assembly"], &["s", "asm"]),
    ("Verilog", &["verilog"], &["v", "sv", "svh"]),
    ("VHDL", &["vhdl"], &["vhd", "vhdl"]),
    ("CUDA", &["cuda"], &["cu", "cuh"]),
    ("GLSL", &["glsl"], &["glsl", "vert", "frag", "wgsl", "hlsl"]),
    ("shell", &["shell"], &["sh", "bash", "zsh", "fish", "ksh"]),
    ("PowerShell", &["powershell"], &["ps1", "psm1", "psd1"]),
    ("batch", &["batch"], &["bat", "cmd"]),
    ("SQL", &["sql"], &["sql"]),
    (
        "HTML",
        &["html"],
        &["html", "htm", "xhtml", "erb", "ejs", "hbs", "jinja", "j2"],
    ),
    ("CSS", &["css"], &["css", "scss", "sass", "less"]),
    ("Vue", &["vue"], &["vue"]),
    ("Svelte", &["svelte"], &["svelte"]),
    ("Vim script", &["vim"], &["vim"]),
    ("Terraform", &["terraform"], &["tf", "hcl"]),
    ("Nix", &["nix"], &["nix"]),
    ("CMake", &["cmake"], &["cmake"]),
    ("make", &["make"], &["mk", "mak"]),
    ("GraphQL", &["graphql"], &["graphql", "gql"]),
    ("Protocol Buffers", &["protobuf"], &["proto"]),
    ("Solidity", &["solidity"], &["sol"]),
    ("Starlark", &["starlark"], &["bzl", "star"]),
];

/// Whole names that tell more than their endings, lower case: name, language, what bundles call it.
const CODE_NAMES: &[(&str, &str, &[&str])] = &[
    ("cmakelists.txt", "CMake", &["cmake"]),
    ("makefile", "make", &["make"]),
    ("gnumakefile", "make", &["make"]),
    ("dockerfile", "Dockerfile", &["dockerfile"]),
    ("rakefile", "Ruby", &["ruby"]),
    ("gemfile", "Ruby", &["ruby"]),
    ("vagrantfile", "Ruby", &["ruby"]),
    ("jenkinsfile", "Groovy", &["groovy"]),
    ("build", "Starlark", &["starlark"]),
    ("workspace", "Starlark", &["starlark"]),
];

const PROSE: &[&str] = &[
    "md", "mdx", "markdown", "rst", "txt", "text", "adoc", "asciidoc", "org", "tex", "bib", "pod",
    "rdoc", "textile", "wiki", "man", "1", "5", "7", "8", "log", "srt",
];

const PROSE_NAMES: &[&str] = &[
    "readme",
    "license",
    "licence",
    "copying",
    "notice",
    "authors",
    "contributors",
    "maintainers",
    "changelog",
    "changes",
    "news",
    "history",
    "todo",
    "install",
    "security",
];

const DATA: &[&str] = &[
    "json",
    "jsonl",
    "ndjson",
    "json5",
    "jsonc",
    "yaml",
    "yml",
    "toml",
    "xml",
    "xsd",
    "xsl",
    "csv",
    "tsv",
    "ini",
    "cfg",
    "conf",
    "config",
    "properties",
    "env",
    "plist",
    "svg",
    "po",
    "pot",
    "ipynb",
    "geojson",
    "lock",
    "sum",
    "mod",
    "resx",
    "xlf",
    "csproj",
    "vcxproj",
    "sln",
    "pbxproj",
    "dat",
    "out",
    "expected",
    "golden",
    "snap",
    "pem",
    "crt",
    "key",
    "ics",
    "vcf",
    "eps",
    "ps",
    "map",
    "diff",
    "patch",
    "rtf",
];

const DATA_NAMES: &[&str] = &[
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".dockerignore",
    ".npmignore",
    ".npmrc",
    ".nvmrc",
    ".editorconfig",
    ".prettierrc",
    ".prettierignore",
    ".eslintrc",
    ".eslintignore",
    ".babelrc",
    ".flake8",
    ".pylintrc",
    ".coveragerc",
    ".mailmap",
    ".env",
    ".clang-format",
    ".clang-tidy",
    "codeowners",
    "requirements.txt",
    "robots.txt",
    "version",
    "pipfile",
    "procfile",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_holds() {
        let said = |path| match Content::of_path(path) {
            Content::Code(language) => language.name,
            Content::Prose => "(prose)",
            Content::Data => "(data)",
            Content::Unknown => "(unknown)",
        };
        for (path, expected) in [
            ("a/b.py", "Python"),
            ("a/B.RS", "Rust"),
            ("x.d.ts", "TypeScript"),
            ("ui/App.tsx", "TypeScript"),
            ("include/x.h", "C"),
            ("x.kts", "Kotlin"),
            ("Main.hs", "Haskell"),
            ("Makefile", "make"),
            ("docker/Dockerfile", "Dockerfile"),
            ("Gemfile", "Ruby"),
            ("CMakeLists.txt", "CMake"),
            ("requirements.txt", "(data)"),
            ("README.md", "(prose)"),
            ("LICENSE", "(prose)"),
            ("docs/index.rst", "(prose)"),
            ("package.json", "(data)"),
            ("Cargo.toml", "(data)"),
            (".gitignore", "(data)"),
            ("go.mod", "(data)"),
            ("bin/run", "(unknown)"),
            (".py", "(unknown)"),
            ("dir.py/tool", "(unknown)"),
            ("a.frobnicate", "(unknown)"),
            ("", "(unknown)"),
        ] {
            assert_eq!(said(path), expected, "{path}");
        }
    }

    #[test]
    fn every_ending_belongs_to_one_kind() {
        let mut endings: Vec<&str> = LANGUAGES
            .iter()
            .flat_map(|(_, _, endings)| endings.iter())
            .chain(PROSE)
            .chain(DATA)
            .copied()
            .collect();
        let count = endings.len();
        endings.sort_unstable();
        endings.dedup();
        assert_eq!(endings.len(), count);
    }
}
