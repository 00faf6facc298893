//! A report in the Static Analysis Results Interchange Format 2.1.0 (OASIS), for code scanning.
//!
//! Invariant: every low hunk is a result that is recognised by its changed lines and not by where
//! they stand, and every file that was not judged is a notification.

use super::report::{FileOutcome, Finding, HunkReport, Level, Report};
use crate::scoring::HELP;
use crate::syntax::{Code, Severity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{self, Write};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const RULE: &str = "low-score";
/// Stands for the top of the repository; whoever reads the report knows where that is.
const ROOT: &str = "%SRCROOT%";

/// What a relative reference may hold as it is: the unreserved characters of RFC 3986 and `/`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &log(report))?;
    writeln!(out)
}

fn log(report: &Report) -> Value {
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": driver()},
            "invocations": [{
                "executionSuccessful": report.counts().failed == 0,
                "toolExecutionNotifications": notifications(report),
            }],
            "originalUriBaseIds": {
                ROOT: {"description": {"text": "The top of the repository's work tree."}},
            },
            "artifacts": report.files.iter()
                .map(|file| json!({"location": location(&file.path)}))
                .collect::<Vec<_>>(),
            "results": results(report),
            "columnKind": "unicodeCodePoints",
            "properties": {
                "model": report.frame.model,
                "calibration": report.frame.calibration,
                "prior": report.frame.prior,
                "minScore": report.frame.min_score,
                "base": report.frame.base,
                "task": report.frame.task,
            },
        }],
    })
}

fn driver() -> Value {
    json!({
        "name": "diffidence",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules(),
        "notifications": [
            {"id": "abstained", "shortDescription": {"text": "A changed file that the model cannot judge"}},
            {"id": "skipped", "shortDescription": {"text": "A changed file that is not scored"}},
            {"id": "failed", "shortDescription": {"text": "A changed file that could not be scored"}},
        ],
    })
}

/// The one about scores first, then those of the static checks in the order of [`Code::ALL`].
fn rules() -> Vec<Value> {
    let low_score = json!({
        "id": RULE,
        "name": "LowScore",
        "shortDescription": {"text": "A change that is less likely correct than the threshold"},
        "fullDescription": {"text": "A reward model judged the change without running it, \
            and its calibrated probability of being correct is below the threshold."},
        "help": {"text": "Look at the changed lines. The score is a second opinion about \
            where to look first; it is not a test, and it is often wrong."},
        "helpUri": HELP,
        "defaultConfiguration": {"level": "note"},
    });
    let checks = Code::ALL.into_iter().map(|code| {
        json!({
            "id": code,
            "shortDescription": {"text": code.description()},
            "help": {"text": "Found in the text alone, without the reward model; it does not \
                change the score."},
            "helpUri": HELP,
            "defaultConfiguration": {"level": level(code.severity())},
        })
    });
    std::iter::once(low_score).chain(checks).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}

fn check_results(report: &Report) -> impl Iterator<Item = Value> {
    report.files.iter().flat_map(|file| {
        file.checks.iter().map(|flaw| {
            let rule = Code::ALL.iter().position(|code| *code == flaw.code);
            let region = json!({"startLine": flaw.line, "endLine": flaw.line});
            let place = json!({"artifactLocation": location(&file.path), "region": region});
            json!({
                "ruleId": flaw.code,
                "ruleIndex": rule.map_or(0, |rule| rule + 1),
                "level": level(flaw.severity),
                "message": {"text": flaw.message},
                "locations": [{"physicalLocation": place}],
            })
        })
    })
}

fn notifications(report: &Report) -> Vec<Value> {
    let notification = |path: &str, id: &str, level: &str, text: String| {
        json!({
            "descriptor": {"id": id},
            "level": level,
            "message": {"text": text},
            "locations": [{"physicalLocation": {"artifactLocation": location(path)}}],
        })
    };
    let notifications = report.files.iter().filter_map(|file| match &file.outcome {
        FileOutcome::Abstained(abstained) => {
            let text = format!("cannot judge: {}", abstained.why);
            Some(notification(&file.path, "abstained", "note", text))
        }
        FileOutcome::Skipped { reason } => {
            let text = format!("skipped: {reason}");
            Some(notification(&file.path, "skipped", "note", text))
        }
        FileOutcome::Failed { reason } => {
            let text = format!("cannot score: {reason}");
            Some(notification(&file.path, "failed", "error", text))
        }
        FileOutcome::Scored(_) | FileOutcome::Unchanged { .. } => None,
    });
    notifications.collect()
}

fn results(report: &Report) -> Vec<Value> {
    let mut seen = HashMap::new();
    let results = report.findings().into_iter().map(|finding| {
        let mut place = json!({"artifactLocation": location(finding.path)});
        if let Some((first, last)) = finding.lines() {
            place["region"] = json!({"startLine": first, "endLine": last});
        }
        let mut result = json!({
            "ruleId": RULE,
            "ruleIndex": 0,
            "level": match finding.level {
                Level::Warning => "warning",
                Level::Note => "note",
            },
            "message": {"text": finding.message()},
            "locations": [{"physicalLocation": place}],
            "properties": properties(&finding),
        });
        if let Some(hunk) = finding.hunk {
            // The same lines may be changed twice in a file.
            let fingerprint = fingerprint(hunk);
            let n = seen
                .entry((finding.path, fingerprint.clone()))
                .and_modify(|n| *n += 1)
                .or_insert(1);
            let value = format!("{fingerprint}:{n}");
            result["partialFingerprints"] = json!({"changedLines/v1": value});
        }
        result
    });
    results.chain(check_results(report)).collect()
}

fn properties(finding: &Finding<'_>) -> Value {
    json!({
        "probability": finding.probability,
        "logit": finding.hunk.map_or(finding.file.logit, |hunk| hunk.logit),
        "fileProbability": finding.file.probability,
    })
}

fn location(path: &str) -> Value {
    let uri = utf8_percent_encode(path, ESCAPED).to_string();
    json!({"uri": uri, "uriBaseId": ROOT})
}

/// The first 128 bits of the SHA-256 of the changed lines, each with its marker.
fn fingerprint(hunk: &HunkReport) -> String {
    let mut hash = Sha256::new();
    for line in &hunk.changed {
        hash.update(line);
        hash.update("\n");
    }
    let bytes = hash.finalize();
    bytes[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::sample;
    use super::*;
    use expect_test::expect;

    /// The schema that OASIS publishes, as the crate serde-sarif 0.8.0 carries it.
    const OFFICIAL: &str = include_str!("../../tests/fixtures/sarif/sarif-schema-2.1.0.json");

    /// What the schema has against a log; nothing if it is valid.
    fn problems(log: &Value) -> String {
        let mut schema: Value = serde_json::from_str(OFFICIAL).unwrap();
        // Has a stray bracket, which is no valid regular expression; no report names a language.
        let language = &mut schema["definitions"]["run"]["properties"]["language"];
        language.as_object_mut().unwrap().remove("pattern").unwrap();
        let mut compiler = boon::Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource("sarif.json", schema).unwrap();
        let mut schemas = boon::Schemas::new();
        let official = compiler.compile("sarif.json", &mut schemas).unwrap();
        schemas
            .validate(log, official)
            .map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[track_caller]
    fn check(report: &Report) -> Value {
        let mut out = Vec::new();
        write(report, &mut out).unwrap();
        let log = serde_json::from_slice(&out).unwrap();
        assert_eq!(problems(&log), "");
        log
    }

    #[test]
    fn every_kind_of_file_is_reported_as_the_schema_asks() {
        let log = check(&sample::report());
        let run = &log["runs"][0];
        expect![[r#"
            [
              {
                "ruleId": "low-score",
                "ruleIndex": 0,
                "level": "warning",
                "message": {
                  "text": "10% likely correct: this hunk is worth a second look"
                },
                "locations": [
                  {
                    "physicalLocation": {
                      "artifactLocation": {
                        "uri": "dir%20with%2C%20comma/50%25%3A%20%C3%A4.rs",
                        "uriBaseId": "%SRCROOT%"
                      },
                      "region": {
                        "startLine": 40,
                        "endLine": 41
                      }
                    }
                  }
                ],
                "properties": {
                  "probability": 0.1,
                  "logit": 0.0,
                  "fileProbability": 0.6
                },
                "partialFingerprints": {
                  "changedLines/v1": "e552fb256e425b692a5a540383913b06:1"
                }
              },
              {
                "ruleId": "low-score",
                "ruleIndex": 0,
                "level": "note",
                "message": {
                  "text": "30% likely correct: this hunk is worth a second look"
                },
                "locations": [
                  {
                    "physicalLocation": {
                      "artifactLocation": {
                        "uri": "dir%20with%2C%20comma/50%25%3A%20%C3%A4.rs",
                        "uriBaseId": "%SRCROOT%"
                      },
                      "region": {
                        "startLine": 80,
                        "endLine": 81
                      }
                    }
                  }
                ],
                "properties": {
                  "probability": 0.3,
                  "logit": 0.0,
                  "fileProbability": 0.6
                },
                "partialFingerprints": {
                  "changedLines/v1": "e552fb256e425b692a5a540383913b06:2"
                }
              },
              {
                "ruleId": "low-score",
                "ruleIndex": 0,
                "level": "note",
                "message": {
                  "text": "20% likely correct: this file is worth a second look"
                },
                "locations": [
                  {
                    "physicalLocation": {
                      "artifactLocation": {
                        "uri": "whole.rs",
                        "uriBaseId": "%SRCROOT%"
                      }
                    }
                  }
                ],
                "properties": {
                  "probability": 0.2,
                  "logit": 0.0,
                  "fileProbability": 0.2
                }
              },
              {
                "ruleId": "low-score",
                "ruleIndex": 0,
                "level": "warning",
                "message": {
                  "text": "5% likely correct: this hunk is worth a second look"
                },
                "locations": [
                  {
                    "physicalLocation": {
                      "artifactLocation": {
                        "uri": "gone.rs",
                        "uriBaseId": "%SRCROOT%"
                      }
                    }
                  }
                ],
                "properties": {
                  "probability": 0.05,
                  "logit": 0.0,
                  "fileProbability": 0.05
                },
                "partialFingerprints": {
                  "changedLines/v1": "ea677ad115dcb3dc7c200051168977d0:1"
                }
              },
              {
                "ruleId": "syntax",
                "ruleIndex": 1,
                "level": "error",
                "message": {
                  "text": "100% syntax"
                },
                "locations": [
                  {
                    "physicalLocation": {
                      "artifactLocation": {
                        "uri": "whole.rs",
                        "uriBaseId": "%SRCROOT%"
                      },
                      "region": {
                        "startLine": 7,
                        "endLine": 7
                      }
                    }
                  }
                ]
              },
              {
                "ruleId": "debug-statement",
                "ruleIndex": 4,
                "level": "note",
                "message": {
                  "text": "100% debug-statement"
                },
                "locations": [
                  {
                    "physicalLocation": {
                      "artifactLocation": {
                        "uri": "whole.rs",
                        "uriBaseId": "%SRCROOT%"
                      },
                      "region": {
                        "startLine": 9,
                        "endLine": 9
                      }
                    }
                  }
                ]
              }
            ]
            [
              {
                "executionSuccessful": false,
                "toolExecutionNotifications": [
                  {
                    "descriptor": {
                      "id": "skipped"
                    },
                    "level": "note",
                    "message": {
                      "text": "skipped: lock file"
                    },
                    "locations": [
                      {
                        "physicalLocation": {
                          "artifactLocation": {
                            "uri": "Cargo.lock",
                            "uriBaseId": "%SRCROOT%"
                          }
                        }
                      }
                    ]
                  },
                  {
                    "descriptor": {
                      "id": "abstained"
                    },
                    "level": "note",
                    "message": {
                      "text": "cannot judge: prose, not code"
                    },
                    "locations": [
                      {
                        "physicalLocation": {
                          "artifactLocation": {
                            "uri": "notes.md",
                            "uriBaseId": "%SRCROOT%"
                          }
                        }
                      }
                    ]
                  },
                  {
                    "descriptor": {
                      "id": "failed"
                    },
                    "level": "error",
                    "message": {
                      "text": "cannot score: the model crashed\nat 50%"
                    },
                    "locations": [
                      {
                        "physicalLocation": {
                          "artifactLocation": {
                            "uri": "bad.rs",
                            "uriBaseId": "%SRCROOT%"
                          }
                        }
                      }
                    ]
                  }
                ]
              }
            ]"#]]
        .assert_eq(&format!("{:#}\n{:#}", run["results"], run["invocations"]));
    }

    #[test]
    fn an_empty_report_is_valid_too() {
        let log = check(&Report::new(sample::frame(), Vec::new()));
        assert_eq!(log["runs"][0]["results"], json!([]));
    }

    #[test]
    fn the_schema_would_notice_a_mistake() {
        let mut log = log(&sample::report());
        log["runs"][0]["results"][0]["level"] = json!("low");
        assert!(problems(&log).contains("level"), "{}", problems(&log));
        let mut log = super::log(&sample::report());
        log["runs"][0]["artifacts"][0]["location"]["uri"] = json!("a b.rs");
        assert!(problems(&log).contains("uri"), "{}", problems(&log));
    }
}
