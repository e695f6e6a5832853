//! Raw declarations of libreattn, generated from `reattn.h`; its comments are the manual.
//!
//! Programs use the crate `reattn`, the safe layer over these functions.
//!
//! The library is linked, or with the feature `load` opened when it is first needed: [`load`].
#![allow(non_camel_case_types, clippy::doc_lazy_continuation, rustdoc::broken_intra_doc_links)]
#![allow(clippy::too_long_first_doc_paragraph, rustdoc::invalid_html_tags)]
#![allow(clippy::missing_safety_doc, clippy::missing_transmute_annotations)]
#![allow(clippy::too_many_arguments)]

#[cfg(all(not(feature = "load"), not(feature = "bindgen")))]
include!("bindings.rs");
#[cfg(all(not(feature = "load"), feature = "bindgen"))]
include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
#[cfg(feature = "load")]
include!(concat!(env!("OUT_DIR"), "/types.rs"));

#[cfg(feature = "bundled")]
mod bundled;
pub mod load;

#[cfg(feature = "load")]
#[rustfmt::skip]
mod loaded;
#[cfg(feature = "load")]
pub use loaded::*;

#[cfg(test)]
mod tests {
    #[test]
    fn the_library_is_of_the_version_that_was_declared() {
        crate::load::ensure().unwrap();
        assert_eq!(unsafe { crate::reattn_abi_version() }, crate::REATTN_ABI_VERSION as i32);
    }

    #[cfg(feature = "bindgen")]
    #[test]
    fn the_committed_declarations_are_those_of_the_header() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/bindings.rs"));
        let committed = include_str!("bindings.rs");
        assert!(
            committed == generated,
            "src/bindings.rs is not what bindgen makes of reattn.h: run bindings/rust/update-bindings"
        );
    }
}
