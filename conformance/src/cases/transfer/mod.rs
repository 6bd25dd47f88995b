//! Moving data: pages out, imports in.

pub(super) mod imports;
pub(super) mod pages;
