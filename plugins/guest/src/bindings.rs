//! The contract as Rust types, generated from `wit/`.
#![allow(missing_docs)]

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: false },
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "cofferdam_guest::bindings",
});
