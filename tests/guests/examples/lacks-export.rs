//! Exports one of the three interfaces of a backend.
#![allow(missing_docs, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package example:partial;
        world partial { export cofferdam:storage/backend@0.2.0; }
    ",
    world: "example:partial/partial",
    generate_all,
    stubs,
});
