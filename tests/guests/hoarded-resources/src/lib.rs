//! Asks WASI for one timer after the other, and keeps them.

use guest_support::{Error, Guest, MessageState};

mod timers {
    wit_bindgen::generate!({
        inline: "
            package example:timers;
            world wish { import wasi:clocks/monotonic-clock@0.2.6; }
            package wasi:io@0.2.6 {
                interface poll { resource pollable; }
            }
            package wasi:clocks@0.2.6 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.6.{pollable};
                    subscribe-duration: func(when: u64) -> pollable;
                }
            }
        ",
        world: "example:timers/wish",
        generate_all,
    });
}

struct HoardedResources;

impl Guest for HoardedResources {
    fn get_message_state(_channel_id: String) -> Result<Option<MessageState>, Error> {
        loop {
            std::mem::forget(timers::wasi::clocks::monotonic_clock::subscribe_duration(1));
        }
    }
}

guest_support::export!(HoardedResources);
