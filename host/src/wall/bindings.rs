//! Generated from `wit/`.

pub(crate) use self::cofferdam::storage::{sql, types};
pub(crate) use self::exports::cofferdam::storage::{backend, migration, transfer};

wasmtime::component::bindgen!({
    path: "wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: {
        // Declaring a statement is text and arithmetic, and giving back waits for nothing; everything else may wait
        // for a database.
        "cofferdam:storage/sql.prepare": trappable,
        "cofferdam:storage/sql.prepare-batchable": trappable,
        "cofferdam:storage/sql.[drop]statement": trappable,
        "cofferdam:storage/sql.[drop]connection": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    trappable_error_type: {
        "cofferdam:storage/sql.error" => crate::wall::bridge::Failure,
    },
    with: {
        "cofferdam:storage/sql.statement": crate::sql::Statement,
        "cofferdam:storage/sql.connection": crate::wall::bridge::Lease,
    },
});
