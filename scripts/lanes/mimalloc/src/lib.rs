//! The library of the server, on mimalloc.

pub use ::server::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
