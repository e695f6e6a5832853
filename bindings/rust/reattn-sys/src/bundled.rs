//! The library inside the program: the feature `bundled`.
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libreattn.so"));

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    /// A new one, which only this user can enter.
    fn new() -> Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let parent = std::env::temp_dir();
        for n in 0..1000 {
            let path = parent.join(format!("reattn-{}-{n}", std::process::id()));
            match builder.create(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                created => return created.map(|()| Folder(path)),
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, format!("{}/reattn-*", parent.display())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Hands the library to `open` as a file, which is gone afterwards: what is loaded needs none.
pub fn as_file<T>(name: &str, open: impl FnOnce(&Path) -> T) -> Result<T> {
    let folder = Folder::new()?;
    let file = folder.0.join(name);
    std::fs::write(&file, LIBRARY)?;
    Ok(open(&file))
}
