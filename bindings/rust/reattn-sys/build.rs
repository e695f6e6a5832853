//! Finds libreattn.so and links it; with the feature `load`, leaves that to the running program; with `bundled`, has the program carry it. With the feature `bindgen`,
//! generates the declarations.
use std::env;
use std::path::{Path, PathBuf};

const LIBRARY: &str = "libreattn.so";

/// Where libreattn.so lies, and the folders that hold `reattn/reattn.h`.
struct Found {
    libdir: PathBuf,
    #[cfg_attr(not(feature = "bindgen"), allow(dead_code))]
    includes: Vec<PathBuf>,
}

/// The library, or where it was looked for.
fn find() -> Result<Found, String> {
    let mut looked = Vec::new();
    if let Some(dir) = env::var_os("REATTN_LIB_DIR") {
        let libdir = PathBuf::from(dir);
        if libdir.join(LIBRARY).exists() {
            // The include folder of an installed tree.
            let includes = libdir.parent().map(|prefix| prefix.join("include"));
            return Ok(Found { libdir, includes: includes.into_iter().collect() });
        }
        looked.push(format!("REATTN_LIB_DIR = {}: there is no {LIBRARY} in it", libdir.display()));
    } else {
        looked.push("the environment variable REATTN_LIB_DIR: not set".to_string());
    }
    let probe = pkg_config::Config::new().cargo_metadata(false).env_metadata(true).probe("reattn");
    match probe {
        Ok(library) => {
            // pkg-config names no folder where the linker looks anyway.
            let defaults = ["/usr/local/lib", "/usr/lib"].map(PathBuf::from);
            let folders = library.link_paths.iter().chain(&defaults);
            for libdir in folders {
                if libdir.join(LIBRARY).exists() {
                    return Ok(Found { libdir: libdir.clone(), includes: library.include_paths });
                }
            }
            looked.push(format!("pkg-config reattn: no {LIBRARY} in {:?}", library.link_paths));
        }
        Err(error) => {
            let path = env::var("PKG_CONFIG_PATH").unwrap_or_else(|_| "not set".to_string());
            let first = error.to_string();
            let first = first.trim().lines().next().unwrap_or_default().to_string();
            looked.push(format!("pkg-config reattn (PKG_CONFIG_PATH: {path}): {first}"));
        }
    }
    Err(format!("{LIBRARY} was not found. It was looked for in\n  - {}", looked.join("\n  - ")))
}

/// Cargo lets the programs it runs find libraries below its own build folder: puts links to the
/// library and its plug-in there.
fn link_into(out: &Path, libdir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(libdir)? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with("libreattn") {
            let link = out.join(&name);
            if link.symlink_metadata().is_ok() {
                std::fs::remove_file(&link)?;
            }
            let target = std::path::absolute(libdir.join(&name))?;
            #[cfg(unix)]
            std::os::unix::fs::symlink(target, link)?;
            #[cfg(not(unix))]
            std::fs::copy(target, link).map(|_| ())?;
        }
    }
    Ok(())
}

#[cfg(feature = "bindgen")]
fn generate(out: &Path, includes: &[PathBuf]) {
    let mut folders = includes.to_vec();
    if let Some(dir) = env::var_os("REATTN_INCLUDE_DIR") {
        folders.insert(0, PathBuf::from(dir));
    }
    let header = folders.iter().map(|dir| dir.join("reattn/reattn.h")).find(|path| path.exists());
    let header = header.unwrap_or_else(|| {
        panic!("reattn/reattn.h was not found in {folders:?}: set REATTN_INCLUDE_DIR")
    });
    println!("cargo:rerun-if-changed={}", header.display());
    bindgen::Builder::default()
        .header(header.to_str().expect("a path in UTF-8"))
        .allowlist_item("(reattn|REATTN)_.*")
        .blocklist_item("REATTN_REATTN_H|REATTN_API")
        .clang_args(["-fparse-all-comments", "-std=c99"])
        .default_enum_style(bindgen::EnumVariation::Consts)
        .derive_default(true)
        .layout_tests(true)
        .merge_extern_blocks(true)
        .prepend_enum_name(false)
        .translate_enum_integer_types(true)
        .use_core()
        .rust_edition(bindgen::RustEdition::Edition2021)
        .rust_target(bindgen::RustTarget::stable(82, 0).expect("a known release"))
        .formatter(bindgen::Formatter::Prettyplease)
        .generate()
        .expect("declarations of reattn.h")
        .write_to_file(out.join("bindings.rs"))
        .expect("writing the declarations");
}

/// The declarations without their functions, in whose place come those that call the loaded library.
fn cut_functions(declarations: &Path, out: &Path) -> std::io::Result<()> {
    println!("cargo:rerun-if-changed={}", declarations.display());
    let text = std::fs::read_to_string(declarations)?;
    let begin = text.find("unsafe extern \"C\" {").expect("a block of functions");
    let end = begin + text[begin..].find("\n}\n").expect("its end") + 3;
    std::fs::write(out.join("types.rs"), [&text[..begin], &text[end..]].concat())
}

/// Where a packaged crate has the library, for the target that is built for.
fn packaged() -> PathBuf {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    Path::new("natives").join(target).join(LIBRARY)
}

/// Copies the library to where the crate includes it from, or gives where it was looked for.
fn bundle(out: &Path, found: Result<Found, String>) -> Result<(), String> {
    let packaged = packaged();
    let file = if packaged.exists() {
        packaged
    } else {
        let of_the_crate = packaged.display();
        let missing = |looked| format!("{looked}\n  - {of_the_crate} in the crate: there is none");
        found.map_err(missing)?.libdir.join(LIBRARY)
    };
    println!("cargo:rerun-if-changed={}", file.display());
    let copied = std::fs::copy(&file, out.join(LIBRARY));
    copied.map(drop).map_err(|error| format!("{}: {error}", file.display()))
}

/// Ends the build.
fn fail(message: String) -> ! {
    eprintln!("{message}");
    eprintln!("Set REATTN_LIB_DIR to the folder that holds {LIBRARY}, or use the feature `load`.");
    std::process::exit(1)
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for variable in ["REATTN_LIB_DIR", "REATTN_INCLUDE_DIR", "DOCS_RS"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let loads = env::var_os("CARGO_FEATURE_LOAD").is_some();
    let found = find();
    #[cfg(feature = "bindgen")]
    generate(&out, found.as_ref().map_or(&[], |found| &found.includes));
    if loads {
        let generated = out.join("bindings.rs");
        let committed = PathBuf::from("src/bindings.rs");
        let declarations = if cfg!(feature = "bindgen") { generated } else { committed };
        cut_functions(&declarations, &out).expect("writing the declarations");
        if env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
            bundle(&out, found).unwrap_or_else(|message| fail(message));
        }
        return;
    }
    if env::var_os("DOCS_RS").is_some() {
        return; // documentation links nothing
    }
    let found = found.unwrap_or_else(|message| fail(message));
    link_into(&out, &found.libdir).unwrap_or_else(|error| {
        panic!("linking {} into {}: {error}", found.libdir.display(), out.display())
    });
    println!("cargo:rerun-if-changed={}", found.libdir.join(LIBRARY).display());
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=dylib=reattn");
    println!("cargo:libdir={}", found.libdir.display());
}
