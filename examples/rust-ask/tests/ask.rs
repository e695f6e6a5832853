//! The command on a small folder, with the tiny model that the tree's tests make: what it prints means nothing, where it comes
//! from does. With REATTN_TEST_MODEL, also what the answer is.
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rust-ask-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("notes/deep")).unwrap();
        Scratch(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join("notes").join(name), content).unwrap();
    }

    fn notes(&self) -> PathBuf {
        self.0.join("notes")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tiny() -> String {
    std::env::var("REATTN_TINY_MODEL").expect("REATTN_TINY_MODEL must name the tiny model")
}

fn ask(model: &str, folder: &Path, rest: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rust-ask"))
        .args([model, folder.to_str().unwrap()])
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn answers_come_with_the_files_they_are_from() {
    let scratch = Scratch::new("files");
    scratch.write("a.txt", "The Heron came on Monday with salt. ".repeat(40));
    scratch.write("deep/b.md", "日本の船 🐟 came on Tuesday with tar. ".repeat(40));
    scratch.write("c.bin", b"\xFF\xFE\0");
    scratch.write(".hidden", "not this");
    let cache = scratch.0.join("cache");
    let options =
        ["Which ship? ", "Who? ", "--max-tokens", "4", "--cache", cache.to_str().unwrap()];
    let first = ask(&tiny(), &scratch.notes(), &options, "");
    let (out, err) = (text(&first.stdout), text(&first.stderr));
    assert!(first.status.success(), "{err}");
    assert!(err.contains("left out: c.bin: not a text in UTF-8"), "{err}");
    assert!(err.contains("left out: .hidden: hidden"), "{err}");
    assert!(err.contains("\rread "), "{err}");
    assert!(out.contains("  a.txt (") && out.contains("  deep/b.md ("), "{out}");

    // The same files: nothing is read again, and the answers are the same.
    let second = ask(&tiny(), &scratch.notes(), &options, "");
    assert!(text(&second.stderr).contains("read before: "), "{}", text(&second.stderr));
    assert_eq!(text(&second.stdout), out);
    // A damaged snapshot is read anew.
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    fs::write(&file, bytes).unwrap();
    let third = ask(&tiny(), &scratch.notes(), &options, "");
    assert!(text(&third.stderr).contains("E_FORMAT"), "{}", text(&third.stderr));
    assert_eq!(text(&third.stdout), out);
    // Questions come from the input too.
    let rest = ["--max-tokens", "4"];
    let asked = ask(&tiny(), &scratch.notes(), &rest, "Which ship?\n\nWho?\n");
    assert_eq!(text(&asked.stdout).matches("votes): ").count(), 10);
}

#[test]
fn what_is_wrong_is_said() {
    let scratch = Scratch::new("wrong");
    let fails = |folder: &Path, rest: &[&str], status: i32, said: &str| {
        let output = ask(&tiny(), folder, rest, "");
        assert_eq!(output.status.code(), Some(status));
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    };
    fails(&scratch.notes(), &[], 1, "there is no text in it");
    fails(Path::new("no/such/folder"), &[], 1, "no/such/folder: ");
    fails(&scratch.notes(), &["--what"], 2, "unknown option --what");
    fails(&scratch.notes(), &["--max-tokens", "x"], 2, "--max-tokens x: a number");
    fails(&scratch.notes(), &["--device", "tpu"], 2, "--device tpu");
    scratch.write("a.txt", "text");
    fails(&scratch.notes(), &["?", "--max-tokens", "-1"], 1, "max_tokens is -1");
    let output = ask("no/such/model.gguf", &scratch.notes(), &["?"], "");
    assert!(text(&output.stderr).contains("no/such/model.gguf"), "{}", text(&output.stderr));
}

#[test]
fn a_real_model_finds_what_is_written() {
    let Ok(model) = std::env::var("REATTN_TEST_MODEL") else {
        println!("skipped: REATTN_TEST_MODEL is not set");
        return;
    };
    let scratch = Scratch::new("real");
    scratch
        .write("a.txt", "Ships came and went, and nothing was written down of them. ".repeat(40));
    scratch.write("b.txt", "The keeper of the north door is called Barnabas Quill.");
    scratch.write("c.txt", "In winter the harbour was quiet and the nets were mended. ".repeat(40));
    let rest =
        ["", "--raw", "--prefix", "The keeper of the north door is called", "--max-tokens", "6"];
    let output = ask(&model, &scratch.notes(), &rest, "");
    let out = text(&output.stdout);
    assert!(out.contains("Barnabas Quill"), "{out} {}", text(&output.stderr));
}
