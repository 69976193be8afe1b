//! The binary itself: what it refuses to start with, what it prints, how it stops.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

/// The program in an empty environment and an empty folder.
fn tollgate(files: &tempfile::TempDir, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env_clear().current_dir(files.path()).envs(variables.iter().copied());
    command
}

fn run(files: &tempfile::TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let Output { status, stdout, stderr } = tollgate(files, variables).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap_or(-1), text)
}

#[test]
fn production_without_keys_refuses_to_start_and_names_everything() {
    let files = tempfile::tempdir().unwrap();
    let (code, text) = run(&files, &[], &[("APP_ENV", "production"), ("BIND_ADDR", "nonsense")]);
    assert_eq!(code, 2, "{text}");
    for name in ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "APP_URL", "BIND_ADDR"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!files.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_fault_in_the_configuration_shows_no_secret() {
    let files = tempfile::tempdir().unwrap();
    let variables = [
        ("APP_ENV", "production"),
        ("STRIPE_SECRET_KEY", "oops_very_secret"),
        ("STRIPE_WEBHOOK_SECRET", "also_very_secret"),
        ("DATABASE_URL", "mysql://user:very_secret@host/db"),
    ];
    let (code, text) = run(&files, &["serve"], &variables);
    assert_eq!(code, 2);
    assert!(!text.contains("very_secret"), "{text}");
}

#[test]
fn wrong_usage_is_2_and_a_missing_database_is_1() {
    let files = tempfile::tempdir().unwrap();
    assert_eq!(run(&files, &["dance"], &[]).0, 2);
    let nowhere = [("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1:1/none")];
    let (code, text) = run(&files, &["migrate"], &nowhere);
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn migrate_makes_the_database_and_may_run_again() {
    let files = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (code, text) = run(&files, &["migrate"], &[]);
        assert_eq!(code, 0, "{text}");
    }
    assert!(files.path().join("data/tollgate.db").exists());
}

#[test]
fn serve_says_where_it_is_logs_no_secret_and_stops_when_told() {
    let files = tempfile::tempdir().unwrap();
    let site = files.path().join("site");
    std::fs::create_dir(&site).unwrap();
    std::fs::write(site.join("manifest.json"), r#"{"script": "s", "style": "s.css"}"#).unwrap();
    let site = site.display().to_string();
    let variables = [
        ("BIND_ADDR", "127.0.0.1:0"),
        ("SANDBOX_ADDR", "127.0.0.1:0"),
        ("TOLLGATE_SITE", site.as_str()),
        ("RUST_LOG", "trace"),
    ];
    let mut child = tollgate(&files, &variables).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        log.push_str(&line);
        log.push('\n');
        if line.contains("serving http://localhost:3000/") {
            break;
        }
    }
    let terminated = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(terminated.success());
    for line in lines {
        log.push_str(&line.unwrap());
    }
    assert!(child.wait().unwrap().success(), "{log}");
    for secret in ["sk_test_sandbox", "whsec_sandbox", "tollgate-demo", "argon2id"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}
