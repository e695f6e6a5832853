//! The text files of a folder, as one document that remembers which part is whose.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file's place in the document.
pub struct Part {
    pub path: PathBuf,
    /// Bytes from the document's start.
    pub begin: usize,
}

/// All files, each under its name.
#[derive(Default)]
pub struct Folder {
    pub text: String,
    pub parts: Vec<Part>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

impl Folder {
    /// Reads every text file below `root`, in the order of their names.
    pub fn read(root: &Path) -> io::Result<Folder> {
        let mut folder = Folder::default();
        folder.read_into(root, root)?;
        Ok(folder)
    }

    fn read_into(&mut self, root: &Path, at: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(at)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            let mut leave_out = |why| self.left_out.push(format!("{}: {why}", name.display()));
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                leave_out("hidden");
            } else if kind.is_dir() {
                self.read_into(root, &path)?;
            } else if !kind.is_file() {
                leave_out("not a file");
            } else {
                match String::from_utf8(fs::read(&path)?) {
                    Ok(text) if !text.contains('\0') => self.add(name, &text),
                    _ => leave_out("not a text in UTF-8"),
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, text: &str) {
        let begin = self.text.len();
        self.text.push_str(&format!("{}:\n{}\n\n", path.display(), text.trim_end()));
        self.parts.push(Part { path, begin });
    }

    /// The file that a byte of the document belongs to.
    pub fn file_at(&self, byte: usize) -> Option<&Path> {
        let after = self.parts.partition_point(|part| part.begin <= byte);
        Some(&self.parts.get(after.checked_sub(1)?)?.path)
    }

    /// A number that tells whether the files are those of another time (FNV-1a).
    pub fn fingerprint(&self) -> u64 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        self.text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
    }
}
