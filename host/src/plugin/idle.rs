//! Instances that nobody uses at the moment. Another who shares the engine may need their slots.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::engine::Reclaim;
use super::instances::Instance;
use crate::threads::lock;

#[derive(Default)]
pub(super) struct Idle {
    kept: Mutex<Kept>,
    /// With those that are in use.
    existing: AtomicUsize,
}

#[derive(Default)]
struct Kept {
    // Boxed, since an instance is moved several times in each operation and has a kilobyte of its exports.
    #[expect(clippy::vec_box, reason = "they are large, and go in and out")]
    instances: Vec<Box<Instance>>,
    /// Whether no further operation begins here.
    retired: bool,
}

/// What is there for an operation.
pub(super) enum Taken {
    Instance(Box<Instance>),
    /// One is to be made.
    Nothing,
    /// Another plugin has taken the place of this one.
    Retired,
}

impl Idle {
    pub fn existing(&self) -> usize {
        self.existing.load(Ordering::Relaxed)
    }

    /// Another exists.
    pub fn made(&self) {
        self.existing.fetch_add(1, Ordering::Relaxed);
    }

    /// One is gone.
    pub fn gone(&self) {
        self.existing.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn take(&self) -> Taken {
        let mut kept = lock(&self.kept);
        match kept.instances.pop() {
            Some(instance) => Taken::Instance(instance),
            None if kept.retired => Taken::Retired,
            None => Taken::Nothing,
        }
    }

    /// Keeps an instance for the next operation, if there is to be one.
    pub fn put(&self, instance: Box<Instance>) {
        let mut kept = lock(&self.kept);
        if !kept.retired {
            kept.instances.push(instance);
            return;
        }
        drop(kept);
        self.gone();
    }

    /// From now on no operation begins here, and no instance is kept. Returns those that were.
    #[expect(clippy::vec_box, reason = "as they are kept")]
    pub fn retire(&self) -> Vec<Box<Instance>> {
        let instances = {
            let mut kept = lock(&self.kept);
            kept.retired = true;
            std::mem::take(&mut kept.instances)
        };
        self.existing.fetch_sub(instances.len(), Ordering::Relaxed);
        instances
    }

    /// Takes operations again.
    pub fn reinstate(&self) {
        lock(&self.kept).retired = false;
    }
}

impl Reclaim for Idle {
    fn reclaim(&self) -> bool {
        match self.take() {
            Taken::Instance(_) => {
                self.gone();
                true
            }
            Taken::Nothing | Taken::Retired => false,
        }
    }
}
