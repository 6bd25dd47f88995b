#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![no_std]

include!(concat!(env!("OUT_DIR"), "/components.rs"));
