//! Runs the cases of `bindings/conformance`, whose README says what a step means.
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod values;

use std::collections::HashMap;

use serde_json::Value;

use steps::{Object, Outcome, Runner};
use values::text;

const LOGPROB_TOLERANCE: f64 = 0.01;

/// What is wrong, if anything.
fn compare(expected: &Value, got: &Value) -> std::result::Result<(), String> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(_)) => {
            for (name, value) in expected {
                let member = got.get(name).ok_or_else(|| format!("nothing gives {name}"))?;
                compare(value, member).map_err(|problem| format!("{name}: {problem}"))?;
            }
            // The answers of a queue are all there are.
            let all = expected.is_empty() && !got.as_object().unwrap().is_empty();
            if all {
                Err(format!("{got} instead of nothing"))
            } else {
                Ok(())
            }
        }
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => {
            expected.iter().zip(items).try_for_each(|(expected, item)| compare(expected, item))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let difference = (a.as_f64().unwrap() - b.as_f64().unwrap()).abs();
            if difference < LOGPROB_TOLERANCE {
                Ok(())
            } else {
                Err(format!("{b}, not {a}"))
            }
        }
        _ if expected == got => Ok(()),
        _ => Err(format!("gave {got}, not {expected}")),
    }
}

fn check(step: &Value, outcome: Outcome) -> std::result::Result<(), String> {
    match (step.get("fails"), outcome) {
        (Some(fails), Outcome::Failed(error)) => {
            let says = fails.get("says").and_then(Value::as_array).cloned().unwrap_or_default();
            let said = says.iter().all(|part| error.message().contains(text(part)));
            let code = error.code().name() == text(&fails["code"]);
            if said && code {
                Ok(())
            } else {
                Err(format!("failed with {error}"))
            }
        }
        (Some(fails), Outcome::Unwritable) => {
            assert_eq!(fails["code"], "E_HANDLE");
            Ok(())
        }
        // A cancel of what is gone does nothing.
        (Some(fails), Outcome::Gave(_))
            if step["do"] == "cancel" && fails["code"] == "E_HANDLE" =>
        {
            Ok(())
        }
        (Some(_), Outcome::Gave(_)) => Err("it did not fail".to_string()),
        (None, Outcome::Gave(got)) => step.get("expect").map_or(Ok(()), |e| compare(e, &got)),
        (None, Outcome::Failed(error)) => Err(format!("failed with {error}")),
        (None, Outcome::Unwritable) => Err("the object is closed".to_string()),
    }
}

fn run_case(case: &Value) -> std::result::Result<(), String> {
    let settings = std::fs::read_to_string(support::conformance().join("settings.json")).unwrap();
    let mut runner = Runner {
        folder: support::Folder::new(),
        objects: HashMap::new(),
        settings: serde_json::from_str(&settings).unwrap(),
    };
    runner.objects.insert("tiny".to_string(), Object::Model(support::tiny().clone()));
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let outcome = runner.run(step).map_or_else(|outcome| outcome, Outcome::Gave);
        check(step, outcome)
            .map_err(|problem| format!("step {number} ({}): {problem}", step["do"]))?;
    }
    Ok(())
}

#[test]
fn every_case_holds() {
    let mut files: Vec<_> = std::fs::read_dir(support::conformance().join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (mut n_run, mut problems) = (0, Vec::new());
    for file in files {
        let cases: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            n_run += 1;
            if let Err(problem) = run_case(case) {
                let name = file.file_name().unwrap().to_string_lossy();
                problems.push(format!("{name}: {}: {problem}", case["name"]));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(n_run > 80, "only {n_run} cases");
    println!("{n_run} cases");
}
