//! Finding the library in a running program: the feature `load`. Without it the library is linked, and there is nothing to do.

/// Opens the library at `path`, the file or a folder that holds it. Without this call it is looked for, when it is first
/// needed,
///
/// - where the environment variable `REATTN_LIBRARY` says, which names the file or a folder too,
/// - in the folder of the running program, and in `lib` beside that,
/// - inside the program, which has it with the feature `bundled`,
/// - where the system looks for libraries.
///
/// It stays for as long as the process: afterwards, another path is an error. The error says where it was looked for.
#[cfg(feature = "load")]
pub fn load(path: impl AsRef<std::path::Path>) -> Result<(), String> {
    dynamic::load(path.as_ref())
}

/// The library is there, or where it was looked for.
pub fn ensure() -> Result<(), String> {
    #[cfg(feature = "load")]
    return dynamic::ensure();
    #[cfg(not(feature = "load"))]
    Ok(())
}

#[cfg(feature = "load")]
pub(crate) use dynamic::api;

#[cfg(feature = "load")]
mod dynamic {
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use crate::loaded::Api;

    struct Loaded {
        api: Api,
        file: PathBuf,
    }

    static LOADED: OnceLock<Loaded> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());

    pub(crate) fn api() -> &'static Api {
        // Objects of the library exist only after it was loaded; raw callers call `ensure` first.
        &LOADED.get().expect("reattn_sys::load::ensure was called").api
    }

    /// The library's soname, which changes with the ABI.
    fn soname() -> String {
        format!("libreattn.so.{}", crate::REATTN_ABI_VERSION)
    }

    fn not_found(tried: &[String]) -> String {
        format!("libreattn was not found. It was looked for in\n  - {}", tried.join("\n  - "))
    }

    /// The files that a path may mean.
    fn candidates(path: &Path) -> Vec<PathBuf> {
        match path.is_dir() {
            true => vec![path.join(soname()), path.join("libreattn.so")],
            false => vec![path.to_path_buf()],
        }
    }

    /// Opens the first file that is a library of this ABI, or adds to `tried` what is wrong with each.
    fn open(tried: &mut Vec<String>, what: &str, files: &[PathBuf]) -> bool {
        for file in files {
            match open_one(file) {
                Ok(api) => {
                    let _ = LOADED.set(Loaded { api, file: file.clone() });
                    return true;
                }
                Err(problem) => tried.push(format!("{what}: {problem}")),
            }
        }
        false
    }

    #[cfg(feature = "bundled")]
    fn open_bundled(tried: &mut Vec<String>) -> bool {
        const WHAT: &str = "inside the program";
        crate::bundled::as_file(&soname(), |file| open(tried, WHAT, &[file.to_path_buf()]))
            .unwrap_or_else(|error| {
                tried.push(format!("{WHAT}: it could not be unpacked: {error}"));
                false
            })
    }

    #[cfg(not(feature = "bundled"))]
    fn open_bundled(tried: &mut Vec<String>) -> bool {
        tried.push("inside the program: the feature `bundled` is off".to_string());
        false
    }

    fn open_one(file: &Path) -> Result<Api, String> {
        // SAFETY: the library runs nothing of consequence when it is loaded, and stays loaded; what is looked up by name has
        // the type that is declared, as the ABI's number says.
        unsafe {
            let library = libloading::Library::new(file).map_err(|error| error.to_string())?;
            let address = |name: &str| {
                let symbol = library.get::<*const ()>(name.as_bytes());
                symbol.map(|symbol| *symbol).map_err(|error| error.to_string())
            };
            let version: unsafe extern "C" fn() -> i32 =
                std::mem::transmute(address("reattn_abi_version")?);
            let (has, wants) = (version(), crate::REATTN_ABI_VERSION as i32);
            if has != wants {
                return Err(format!("{} has ABI {has}, not {wants}", file.display()));
            }
            let api = Api::new(address)?;
            std::mem::forget(library);
            Ok(api)
        }
    }

    pub fn load(path: &Path) -> Result<(), String> {
        let _alone = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        let files = candidates(path);
        if let Some(loaded) = LOADED.get() {
            if files.contains(&loaded.file) {
                return Ok(());
            }
            let other = loaded.file.display();
            return Err(format!("{}: another library is in use, {other}", path.display()));
        }
        let mut tried = Vec::new();
        match open(&mut tried, &path.display().to_string(), &files) {
            true => Ok(()),
            false => Err(not_found(&tried)),
        }
    }

    pub fn ensure() -> Result<(), String> {
        if LOADED.get().is_some() {
            return Ok(());
        }
        let _alone = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        if LOADED.get().is_some() {
            return Ok(());
        }
        let mut tried = Vec::new();
        if let Some(path) = std::env::var_os("REATTN_LIBRARY").filter(|path| !path.is_empty()) {
            // What was asked for by name is not replaced by something else.
            return match open(&mut tried, "REATTN_LIBRARY", &candidates(Path::new(&path))) {
                true => Ok(()),
                false => Err(not_found(&tried)),
            };
        }
        tried.push("REATTN_LIBRARY: not set".to_string());
        let program = std::env::current_exe().ok();
        let folder = program.as_deref().and_then(Path::parent).map(Path::to_path_buf);
        let beside = folder.iter().flat_map(|folder| {
            let lib = folder.parent().map(|parent| parent.join("lib"));
            [Some(folder.clone()), lib].into_iter().flatten()
        });
        for folder in beside {
            let file = folder.join(soname());
            if !file.exists() {
                tried.push(format!("beside the program: there is no {}", file.display()));
            } else if open(&mut tried, "beside the program", &[file]) {
                return Ok(());
            }
        }
        if open_bundled(&mut tried) {
            return Ok(());
        }
        match open(&mut tried, "the system's folders", &[soname().into()]) {
            true => Ok(()),
            false => Err(not_found(&tried)),
        }
    }
}
