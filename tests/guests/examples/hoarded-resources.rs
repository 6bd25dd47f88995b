//! Asks WASI for one timer after the other, and keeps them.

use test_guests::{Error, Guest, MessageState};

mod timers {
    wit_bindgen::generate!({
        inline: "
            package example:timers;
            world wish { import wasi:clocks/monotonic-clock@0.2.0; }
            package wasi:io@0.2.0 {
                interface poll {
                    resource pollable { ready: func() -> bool; block: func(); }
                    poll: func(in: list<borrow<pollable>>) -> list<u32>;
                }
            }
            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    type instant = u64;
                    type duration = u64;
                    now: func() -> instant;
                    resolution: func() -> duration;
                    subscribe-instant: func(when: instant) -> pollable;
                    subscribe-duration: func(when: duration) -> pollable;
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

test_guests::export!(HoardedResources);
