//! Makes instances of a component: compiles it, and asks a first instance what it is.

use std::borrow::Cow;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use wasmtime::PoolConcurrencyLimitError;

use super::account::Account;
use super::component;
use super::engine::{Engine, Processors};
use super::error::PluginError;
use super::inspect::{Contents, Inspection};
use super::instances::{Instance, SLOT_PAUSE};
use super::state::{HostState, reason};
use crate::clock::Clock;
use crate::limit;
use crate::model::{Description, Limits};
use crate::wall::bindings::{Plugin, PluginPre};

/// The longest name or version that a plugin may give itself, in bytes: they are repeated in every line of the log.
const LABEL: usize = 64;

/// How long to wait for a slot where others have all of them.
const SLOT_PATIENCE: Duration = Duration::from_secs(2);

/// How long a component may take to say what it is while others wait for the answer.
const DESCRIBE: Duration = Duration::from_secs(1);

/// What a component is loaded with.
pub(crate) struct Setup<'a> {
    /// The folder for compiled code.
    pub(crate) cache: Option<&'a Path>,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    /// Counts what instances cost.
    pub(crate) account: Arc<Account>,
    pub(crate) pace: Pace,
    /// Whether the component itself is kept until somebody takes it.
    pub(crate) keep: bool,
}

/// Who else is there while a component is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nobody: a program starts.
    Alone,
    /// Operations of another plugin, which need processors and instances.
    BesideWork,
}

pub(super) struct Loaded {
    pub engine: Engine,
    pub plugin: PluginPre<HostState>,
    pub inspection: Inspection,
    pub description: Description,
    pub name: Arc<str>,
    /// The instance that was asked, unless it was to hurry.
    pub first: Option<Box<Instance>>,
    /// The component, if it is to be kept.
    pub component: Option<Cow<'static, [u8]>>,
}

pub(super) fn load(contents: Contents, setup: &Setup<'_>) -> Result<Loaded, PluginError> {
    let Setup { cache, limits, clock, account, pace, keep } = setup;
    let engine = Engine::shared(limits)?;
    let processors = match pace {
        Pace::Alone => Processors::All,
        Pace::BesideWork => Processors::Half,
    };
    let plugin = component::compile(&engine, &contents, *cache, processors)?;
    let Contents { inspection, bytes } = contents;
    let component = keep.then_some(bytes);
    let name: Arc<str> = inspection.origin.name().into();
    let hurried = Limits { compute: limits.compute.min(DESCRIBE), ..*limits };
    let in_hurry = *pace == Pace::BesideWork && hurried != *limits;
    let limits = if in_hurry { &hurried } else { limits };
    let patience = Instant::now() + SLOT_PATIENCE;
    let (store, described) = loop {
        let mut store = HostState::store(&engine, limits, &name, clock.clone(), account.memory().clone());
        let described: wasmtime::Result<_> = {
            let _active = engine.enter();
            store.set_epoch_deadline(1);
            block_on(async {
                let instance = plugin.instance_pre().instantiate_async(&mut store).await?;
                // Here, and not before, the engine compares the types of the exports.
                let plugin = match Plugin::new(&mut store, &instance) {
                    Ok(plugin) => plugin,
                    Err(error) => return Ok(Err(error)),
                };
                let description = plugin.cofferdam_storage_backend().call_describe(&mut store).await?;
                wasmtime::Result::Ok(Ok((plugin, Description::from(description))))
            })
        };
        store.data().output.flush();
        match &described {
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                if Instant::now() >= patience {
                    return Err(PluginError::NoRoom { origin: inspection.origin });
                }
                drop(store);
                if !engine.reclaim() {
                    std::thread::sleep(SLOT_PAUSE);
                }
            }
            _ => break (store, described),
        }
    };
    let fitting = described.map_err(|error| {
        if let Some(limit) = limit::of_text(&format!("{error:#}")) {
            return PluginError::Runtime { reason: limit.to_owned() };
        }
        let reason = reason(&error, store.data(), limits);
        PluginError::Faulty { origin: inspection.origin.clone(), reason }
    })?;
    let (first, description) = fitting.map_err(|error| {
        let reason = format!("{error:#}").replace('\n', " ");
        PluginError::Incompatible { origin: inspection.origin.clone(), reason }
    })?;
    for (what, text) in [("name", &description.name), ("version", &description.version)] {
        if !is_label(text) {
            let reason = format!("its {what} is not 1 to {LABEL} printable characters of ASCII");
            return Err(PluginError::Faulty { origin: inspection.origin, reason });
        }
    }
    let first = (!in_hurry).then(|| Box::new(Instance { plugin: first, store }));
    Ok(Loaded { engine, plugin, inspection, description, name, first, component })
}

/// Whether a text may stand for a plugin in logs and on a terminal.
fn is_label(text: &str) -> bool {
    (1..=LABEL).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Runs a future on this thread. For a guest that is asked for its description, which waits for nothing but the
/// next tick; the caller may be inside a runtime, where blocking on another is not possible.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
