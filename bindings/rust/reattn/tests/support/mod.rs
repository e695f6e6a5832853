//! What the tests share: the tiny model, settings that recall in short texts, scratch folders.
#![allow(dead_code)]
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

use reattn::{Device, Model, ModelOptions, Session, SessionOptions};

/// The tree's folder of conformance cases.
pub fn conformance() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance")
}

pub fn tiny_path() -> PathBuf {
    let path = std::env::var_os("REATTN_TINY_MODEL").map(PathBuf::from);
    path.expect("REATTN_TINY_MODEL must name the tiny model: reattn_write_model writes it")
}

/// The tiny model, opened once for the whole test program.
pub fn tiny() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        ModelOptions::new().device(Device::Cpu).n_threads(1).open(tiny_path()).unwrap()
    })
}

/// A scope of 104 in a window of 512, so that short texts already have a middle.
pub fn small(model: &Model) -> SessionOptions {
    let options = model.session_options().unwrap();
    let options = options.n_global(8).n_local(64).top_k(2).span(4).n_anchors(8).chunk(32);
    options.kv_dtype(reattn::KvType::F32)
}

pub fn session() -> Session {
    Session::with_options(tiny(), &small(tiny())).unwrap()
}

pub fn document() -> String {
    std::fs::read_to_string(conformance().join("document.txt")).unwrap()
}

/// A folder that is gone when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("reattn-rust-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
