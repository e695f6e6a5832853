//! Where the library is looked for with the feature `load`. It is opened once in a process, so that other places are tried in
//! other processes: this program again.
#![cfg(feature = "load")]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reattn::*;

const CHILD: &str = "REATTN_TEST_CHILD";

fn child(program: &Path, library: &str) -> Output {
    let mut command = Command::new(program);
    command.args(["--exact", "looked_for_in_order", "--nocapture"]).env(CHILD, "1");
    command.env("REATTN_LIBRARY", library).env_remove("LD_LIBRARY_PATH").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn looked_for_in_order() {
    if std::env::var_os(CHILD).is_some() {
        match version() {
            Ok(version) => println!("version {version}"),
            Err(error) => println!("{error}"),
        }
        return;
    }
    let program = std::env::current_exe().unwrap();
    let nowhere = said(&child(&program, "/no/such/library.so"));
    assert!(nowhere.contains("It was looked for in\n  - REATTN_LIBRARY: "), "{nowhere}");
    assert!(nowhere.contains("/no/such/library.so") && nowhere.contains("(E_IO)"), "{nowhere}");

    // The library that these tests use.
    let library = std::env::var_os("REATTN_LIBRARY").expect("REATTN_LIBRARY must name the library");
    let soname = format!("libreattn.so.{}", sys::REATTN_ABI_VERSION);
    let mut library = PathBuf::from(library);
    if library.is_dir() {
        library.push(&soname);
    }
    let library = library.canonicalize().unwrap();
    let named = said(&child(&program, library.to_str().unwrap()));
    assert!(named.contains("version 0.") || named.contains("version 1."), "{named}");

    let folder = support::Folder::new();
    let copy = folder.path().join("bin/program");
    std::fs::create_dir_all(folder.path().join("bin")).unwrap();
    std::fs::create_dir_all(folder.path().join("lib")).unwrap();
    std::fs::copy(&program, &copy).unwrap();
    let alone = said(&child(&copy, ""));
    if cfg!(feature = "bundled") {
        assert!(alone.contains("version "), "{alone}");
    } else if !alone.contains("version ") {
        // The system has none.
        for place in [
            "REATTN_LIBRARY: not set",
            "beside the program: ",
            "inside the program: the feature `bundled` is off",
            "the system's folders: ",
        ] {
            assert!(alone.contains(place), "{place}: {alone}");
        }
    }
    for beside in ["bin", "lib"] {
        let link = folder.path().join(beside).join(&soname);
        std::os::unix::fs::symlink(&library, &link).unwrap();
        let found = said(&child(&copy, ""));
        assert!(found.contains("version "), "{beside}: {found}");
        std::fs::remove_file(link).unwrap();
    }
}

#[test]
fn another_library_is_refused_once_one_is_in_use() {
    let library = std::env::var_os("REATTN_LIBRARY").expect("REATTN_LIBRARY must name the library");
    version().unwrap();
    load_library(&library).unwrap();
    let error = load_library("other.so").unwrap_err();
    assert!(error.message().contains("another library is in use"), "{error}");
}
