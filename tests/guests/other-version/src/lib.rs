//! Speaks a later version of the contract.

wit_bindgen::generate!({
    inline: "
        package cofferdam:storage@0.2.0;
        interface backend { describe: func() -> string; }
        world plugin { export backend; }
    ",
    stubs,
});

export!(Stub);
