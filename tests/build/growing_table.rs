//! A component whose table grows, which Rust cannot be made to do: put together here, by hand. In the build script, so
//! that what it needs has no influence on the features of what is tested.

use std::path::Path;

use anyhow::Result;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection,
    MemoryType, Module, RefType, TableSection, TableType, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;
use wit_parser::abi::{AbiVariant, WasmType};

/// Where arguments are put, and never looked at.
const ARGUMENTS: i32 = 4096;
/// Where there are zeros, which read as success, as none and as an empty list.
const NOTHING: i32 = 1024;
/// Where the description is.
const DESCRIPTION: i32 = 512;
/// Where its texts are.
const NAME: i32 = 256;

/// A backend whose operations answer with nothing, but for `get-message-state`, which lets its table grow for ever.
pub fn component(wit: &Path) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some("plugin"))?;

    let (mut types, mut functions, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    let mut add = |name: &str, parameters: Vec<ValType>, results: Vec<ValType>, body: Function| {
        let index = functions.len();
        types.ty().function(parameters, results);
        functions.function(index);
        exports.export(name, ExportKind::Func, index);
        code.function(&body);
    };
    let returning = |address: i32| {
        let mut body = Function::new([]);
        body.instructions().i32_const(address).end();
        body
    };
    add("cabi_realloc", vec![ValType::I32; 4], vec![ValType::I32], returning(ARGUMENTS));
    for item in resolve.worlds[world].exports.values() {
        let wit_parser::WorldItem::Interface { id, .. } = item else { continue };
        let interface = resolve.id_of(*id).unwrap_or_default();
        for (name, function) in &resolve.interfaces[*id].functions {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let body = match &**name {
                "get-message-state" => growing(),
                "describe" => returning(DESCRIPTION),
                _ => returning(NOTHING),
            };
            add(&format!("{interface}#{name}"), core(&signature.params), core(&signature.results), body);
        }
    }
    exports.export("memory", ExportKind::Memory, 0);

    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum: 1,
        maximum: None,
        shared: false,
    });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(NAME), *b"table");
    // Name and version, each a place and a length; SQLite, the first engine; schema version 1.
    let description = [NAME, 5, NAME, 5, 0, 1].map(i32::to_le_bytes).concat();
    data.active(0, &ConstExpr::i32_const(DESCRIPTION), description);

    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables).section(&memories).section(&exports);
    module.section(&code).section(&data);
    let mut module = module.finish();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

fn growing() -> Function {
    let mut body = Function::new([]);
    body.instructions()
        .loop_(wasm_encoder::BlockType::Empty)
        .ref_null(wasm_encoder::HeapType::FUNC)
        .i32_const(100)
        .table_grow(0)
        .i32_const(-1)
        .i32_ne()
        .br_if(0)
        .end()
        // It was refused.
        .unreachable()
        .end();
    body
}

fn core(types: &[WasmType]) -> Vec<ValType> {
    let one = |kind: &WasmType| match kind {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    };
    types.iter().map(one).collect()
}
