//! Names that are defined twice where they may be defined once.
//!
//! Invariant: only what the language forbids, or what makes the first definition unreachable, is
//! counted: definitions that stand side by side in one file, class, module or `impl` block.
//! Overloads, conditional compilation and decorators let a name stand twice, so whatever has one of
//! them is not counted at all, and neither is a language in which a second definition may be meant.

use super::grammar::Grammar;
use super::parse::{children, line_of, text_of};
use super::{Code, Flaw};
use std::collections::BTreeMap;
use tree_sitter::Node;

/// Attributes of Rust that leave a definition where it is. Others may take it away, as `cfg` does.
const HARMLESS: [&str; 18] = [
    "allow",
    "cold",
    "default",
    "deny",
    "deprecated",
    "derive",
    "doc",
    "expect",
    "ignore",
    "inline",
    "must_use",
    "non_exhaustive",
    "repr",
    "serde",
    "should_panic",
    "test",
    "tokio::test",
    "track_caller",
];

/// A definition that must be the only one of its kind and name in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    /// What it stands in, from the outside in, to find it in another text.
    scope: String,
    /// Which of the places in the file; two `impl` blocks may look the same.
    block: usize,
    kind: &'static str,
    name: String,
    /// 1-based.
    line: u32,
}

/// What the change brought in: a definition too many where the base had at most one.
pub(super) fn introduced(
    before: &[Definition],
    after: &[Definition],
    is_added: impl Fn(u32) -> bool,
) -> Vec<Flaw> {
    let mut most: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for group in groups(before) {
        if let Some(first) = group.first() {
            let known = most.entry(first.name()).or_default();
            *known = (*known).max(group.len());
        }
    }
    let flaw = |group: Vec<&Definition>| {
        let had = most.get(&group.first()?.name()).copied().unwrap_or(0);
        if group.len() < 2 || had > 1 {
            return None;
        }
        // The one to look at is the new one, wherever it stands.
        let new = group.iter().rev().find(|it| is_added(it.line))?;
        let other = group.iter().find(|it| it.line != new.line)?;
        let Definition { kind, name, .. } = new;
        let line = other.line;
        Some(Flaw::new(
            Code::DuplicateDefinition,
            new.line,
            format!("{kind} `{name}` is defined on line {line} too"),
        ))
    };
    groups(after).into_iter().filter_map(flaw).collect()
}

/// Those of one name in one place, in their order.
fn groups(definitions: &[Definition]) -> Vec<Vec<&Definition>> {
    let mut groups: BTreeMap<_, Vec<&Definition>> = BTreeMap::new();
    for it in definitions {
        groups
            .entry((it.block, it.kind, &it.name))
            .or_default()
            .push(it);
    }
    groups.into_values().collect()
}

impl Definition {
    fn name(&self) -> (&str, &str, &str) {
        (&self.scope, self.kind, &self.name)
    }
}

/// All definitions in a tree that count.
pub(super) fn definitions(grammar: Grammar, root: Node<'_>, text: &str) -> Vec<Definition> {
    let mut walk = Walk {
        text,
        blocks: 0,
        found: Vec::new(),
    };
    match grammar {
        Grammar::Go => walk.go(root),
        Grammar::Java => walk.java(root, ""),
        Grammar::JavaScript | Grammar::TypeScript | Grammar::Tsx => walk.script(root, ""),
        Grammar::Php => walk.php(root, ""),
        Grammar::Python => walk.python(root, ""),
        Grammar::Rust => walk.rust(root, ""),
        // Classes of C# may be partial; in Ruby a second definition may be meant, and in Kotlin
        // receivers and expected declarations let a name stand twice.
        Grammar::CSharp | Grammar::Kotlin | Grammar::Ruby => {}
    }
    walk.found
}

struct Walk<'t> {
    text: &'t str,
    blocks: usize,
    found: Vec<Definition>,
}

impl<'t> Walk<'t> {
    fn text(&self, node: Node<'_>) -> &'t str {
        text_of(node, self.text)
    }

    fn field(&self, node: Node<'_>, name: &str) -> Option<&'t str> {
        node.child_by_field_name(name).map(|it| self.text(it))
    }

    fn next_block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks
    }

    fn add(&mut self, scope: &str, block: usize, kind: &'static str, name: &str, node: Node<'_>) {
        if name.is_empty() || name == "_" {
            return;
        }
        self.found.push(Definition {
            scope: scope.to_owned(),
            block,
            kind,
            name: name.to_owned(),
            line: line_of(node),
        });
    }

    fn python(&mut self, body: Node<'_>, scope: &str) {
        let block = self.next_block();
        let from = self.found.len();
        // Whatever is used between two definitions of a name may need the first.
        let mut others: Vec<(u32, &str)> = Vec::new();
        for node in children(body) {
            match node.kind() {
                "function_definition" => {
                    let kind = if scope.is_empty() {
                        "function"
                    } else {
                        "method"
                    };
                    let name = self.field(node, "name").unwrap_or_default();
                    self.add(scope, block, kind, name, node);
                }
                "class_definition" => {
                    let name = self.field(node, "name").unwrap_or_default();
                    self.add(scope, block, "class", name, node);
                    if let Some(body) = node.child_by_field_name("body") {
                        self.python(body, &format!("{scope}/{name}"));
                    }
                }
                "comment" => {}
                _ => others.push((line_of(node), self.text(node))),
            }
        }
        let mut ends: BTreeMap<(&str, String), (u32, u32)> = BTreeMap::new();
        let own = |it: &&Definition| it.block == block;
        for it in self.found[from..].iter().filter(own) {
            let (_, end) = ends
                .entry((it.kind, it.name.clone()))
                .or_insert((it.line, it.line));
            *end = it.line;
        }
        let is_used = |it: &Definition| {
            let (begin, end) = ends
                .get(&(it.kind, it.name.clone()))
                .copied()
                .unwrap_or_default();
            let between = others
                .iter()
                .filter(|(line, _)| (begin..=end).contains(line));
            begin != end
                && between
                    .into_iter()
                    .any(|(_, text)| has_word(text, &it.name))
        };
        self.found.retain(|it| it.block != block || !is_used(it));
    }

    fn script(&mut self, body: Node<'_>, scope: &str) {
        let block = self.next_block();
        for child in children(body) {
            let node = match child.kind() {
                "export_statement" => child.child_by_field_name("declaration").unwrap_or(child),
                _ => child,
            };
            let name = self.field(node, "name").unwrap_or_default();
            match node.kind() {
                "function_declaration" | "generator_function_declaration" => {
                    self.add(scope, block, "function", name, node);
                }
                "class_declaration" | "abstract_class_declaration" => {
                    self.add(scope, block, "class", name, node);
                    if let Some(body) = node.child_by_field_name("body") {
                        self.script_class(body, &format!("{scope}/{name}"));
                    }
                }
                _ => {}
            }
        }
    }

    fn script_class(&mut self, body: Node<'_>, scope: &str) {
        let block = self.next_block();
        for node in children(body) {
            let Some(name) = node.child_by_field_name("name") else {
                continue;
            };
            let plain = matches!(
                name.kind(),
                "property_identifier" | "private_property_identifier"
            );
            if node.kind() != "method_definition" || !plain {
                continue;
            }
            let mut cursor = node.walk();
            let words: Vec<&str> = node.children(&mut cursor).map(|it| it.kind()).collect();
            // A getter and a setter share a name.
            if words.contains(&"get") || words.contains(&"set") || words.contains(&"decorator") {
                continue;
            }
            let kind = if words.contains(&"static") {
                "static method"
            } else {
                "method"
            };
            self.add(scope, block, kind, self.text(name), node);
        }
    }

    fn rust(&mut self, body: Node<'_>, scope: &str) {
        let block = self.next_block();
        let mut is_plain = true;
        for node in children(body) {
            match node.kind() {
                "attribute_item" => {
                    is_plain &= is_harmless(self.text(node));
                    continue;
                }
                "line_comment" | "block_comment" => continue,
                _ => {}
            }
            let counts = std::mem::replace(&mut is_plain, true);
            let name = self.field(node, "name").unwrap_or_default();
            let kind = match node.kind() {
                "function_item" => "function",
                "struct_item" | "enum_item" | "union_item" | "trait_item" | "type_item" => "type",
                "const_item" | "static_item" => "constant",
                "mod_item" => "module",
                _ => "",
            };
            if counts && !kind.is_empty() {
                self.add(scope, block, kind, name, node);
            }
            if !matches!(node.kind(), "mod_item" | "impl_item") {
                continue;
            }
            if let Some(body) = node.child_by_field_name("body") {
                let head = self.text.get(node.start_byte()..body.start_byte());
                let head = head.unwrap_or_default().split_whitespace();
                let head = head.collect::<Vec<_>>().join(" ");
                self.rust(body, &format!("{scope}/{head}"));
            }
        }
    }

    fn go(&mut self, root: Node<'_>) {
        let block = self.next_block();
        for node in children(root) {
            let name = self.field(node, "name").unwrap_or_default();
            match node.kind() {
                "function_declaration" if name != "init" => {
                    self.add("", block, "function", name, node);
                }
                "method_declaration" => {
                    let receiver = self.field(node, "receiver").unwrap_or_default();
                    let inner = receiver.trim_matches(['(', ')', ' ']);
                    let owner = inner.rsplit([' ', '*']).next().unwrap_or(inner);
                    let name = format!("{owner}.{name}");
                    if !name.ends_with("._") {
                        self.add("", block, "method", &name, node);
                    }
                }
                "type_declaration" => {
                    for spec in children(node) {
                        let name = self.field(spec, "name").unwrap_or_default();
                        self.add("", block, "type", name, spec);
                    }
                }
                _ => {}
            }
        }
    }

    fn java(&mut self, body: Node<'_>, scope: &str) {
        let block = self.next_block();
        for node in children(body) {
            let name = self.field(node, "name").unwrap_or_default();
            match node.kind() {
                "class_declaration"
                | "interface_declaration"
                | "enum_declaration"
                | "record_declaration" => {
                    self.add(scope, block, "type", name, node);
                    if let Some(body) = node.child_by_field_name("body") {
                        self.java(body, &format!("{scope}/{name}"));
                    }
                }
                "method_declaration" | "constructor_declaration" => {
                    let kind = if node.kind() == "method_declaration" {
                        "method"
                    } else {
                        "constructor"
                    };
                    let signature = self.java_signature(node, name);
                    self.add(scope, block, kind, &signature, node);
                }
                // The methods of an enumeration stand one level down.
                "enum_body_declarations" => self.java(node, scope),
                _ => {}
            }
        }
    }

    /// Type parameters, name and the types of the parameters: what must differ in overloads.
    fn java_signature(&self, node: Node<'_>, name: &str) -> String {
        let parameters = node.child_by_field_name("parameters");
        let types = parameters.map_or_else(Vec::new, |parameters| {
            let of = |it: Node<'_>| {
                let declared = self.field(it, "type").unwrap_or_else(|| self.text(it));
                let dimensions = self.field(it, "dimensions").unwrap_or_default();
                format!("{declared}{dimensions}")
            };
            let all = children(parameters).into_iter();
            all.filter(|it| !it.kind().contains("comment"))
                .map(of)
                .collect()
        });
        let generic = self.field(node, "type_parameters").unwrap_or_default();
        let text = format!("{generic} {name}({})", types.join(", "));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn php(&mut self, body: Node<'_>, scope: &str) {
        let all = children(body);
        let is_namespace = |it: &&Node<'_>| it.kind() == "namespace_definition";
        // What stands after each of several is in another one.
        if all.iter().filter(is_namespace).count() > 1 {
            return;
        }
        let block = self.next_block();
        for node in all {
            let name = self.field(node, "name").unwrap_or_default();
            // Names of functions and classes do not depend on case.
            let lower = name.to_ascii_lowercase();
            match node.kind() {
                "function_definition" => self.add(scope, block, "function", &lower, node),
                "method_declaration" => self.add(scope, block, "method", &lower, node),
                "class_declaration"
                | "interface_declaration"
                | "trait_declaration"
                | "enum_declaration" => {
                    self.add(scope, block, "type", &lower, node);
                    if let Some(body) = node.child_by_field_name("body") {
                        self.php(body, &format!("{scope}/{lower}"));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether an attribute, as it is written, leaves what it stands on where it is.
fn is_harmless(attribute: &str) -> bool {
    let inner = attribute.trim_start_matches(['#', '[', ' ']);
    let end = inner.find(['(', ']', '=', ' ']).unwrap_or(inner.len());
    inner
        .get(..end)
        .is_some_and(|path| HARMLESS.contains(&path))
}

/// Whether a text mentions a name.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|it| it.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
