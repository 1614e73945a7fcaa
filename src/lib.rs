#![doc = include_str!("tour.md")]
#![deny(unsafe_code)]

pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod files;
pub mod http1;
pub mod master;
pub mod reactor;
pub mod server;
pub mod slab;
pub mod sys;
pub mod timers;
