//! The bot as its users meet it: its program against a local Discord, on both databases, through everything that goes wrong.
//!
//! Each case prints a line of what became of its questions; `-- --nocapture` shows them.

/// Tests of these names, which have the functions of the same names do it on each database.
macro_rules! on_both {
    ($($name:ident),*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::On::Sqlite).await;
                }
            )*
        }
        mod mysql {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::On::Mysql).await;
                }
            )*
        }
    };
}

mod burst;
mod changes;
mod kills;
mod machine;
mod outages;
mod rig;
mod sessions;
mod shards;
mod starts;
mod storm;
mod swaps;
