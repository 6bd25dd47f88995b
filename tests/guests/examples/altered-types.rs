//! Speaks of the contract's version, but describes itself with a field more. The other files of `altered-types` are
//! those of the contract.
#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({ path: "altered-types", world: "plugin", stubs });
