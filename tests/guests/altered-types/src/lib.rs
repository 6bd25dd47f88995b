//! Speaks of the contract's version, but describes itself with a field more. The other files of its `wit/` are those of
//! the contract.

wit_bindgen::generate!({ path: "wit", world: "plugin", stubs });
