//! Speaks a later version of the contract.
#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({
    inline: "
        package cofferdam:storage@0.3.0;
        interface backend { describe: func() -> u32; }
        world plugin { export backend; }
    ",
    stubs,
});
