//! What Cofferdam's tests share.
//!
//! [`conformance`] is the suite that every storage must pass, [`memory`] the reference that says what the
//! operations mean in the plainest way, [`faults`] what a storage must survive, and [`harness`] starts the real
//! servers, files, components and commands on which the tests in `tests/` run.
#![warn(missing_docs)]

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use cofferdam::clock::ManualClock;
use cofferdam::{Result, StorageService, TransferService};

pub mod conformance;
pub mod faults;
pub mod harness;
pub mod memory;

/// Both services of one storage.
pub trait Service: StorageService + TransferService {}

impl<T: StorageService + TransferService> Service for T {}

/// A storage with a database of its own and the clock that it goes by.
#[derive(Clone)]
pub struct Subject {
    service: Arc<dyn Service>,
    clock: Arc<ManualClock>,
    // Dropped last: the folder or the database that the storage works in.
    _home: Arc<dyn Any + Send + Sync>,
}

impl Subject {
    /// `home` is what has to outlive the storage, such as its folder.
    pub fn new(service: Arc<dyn Service>, clock: Arc<ManualClock>, home: impl Any + Send + Sync) -> Self {
        Self { service, clock, _home: Arc::new(home) }
    }

    /// The clock that the storage goes by.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

impl Deref for Subject {
    type Target = dyn Service;

    fn deref(&self) -> &Self::Target {
        &*self.service
    }
}

/// Makes storages of one kind.
#[async_trait]
pub trait Harness: Sync {
    /// What is printed, such as `sqlite`.
    fn name(&self) -> &str;

    /// A storage with an empty database that belongs to nobody else, not yet initialised.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database or the storage from being made.
    async fn uninitialized(&self) -> anyhow::Result<Subject>;

    /// As [`uninitialized`](Self::uninitialized), and ready for work.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from being made or initialised.
    async fn initialized(&self) -> anyhow::Result<Subject> {
        let subject = self.uninitialized().await?;
        subject.initialize().await?;
        Ok(subject)
    }
}

/// The kind of the error that an operation ended with; `None` where it succeeded.
pub fn error_kind<T>(result: &Result<T>) -> Option<cofferdam::ErrorKind> {
    result.as_ref().err().map(cofferdam::Error::kind)
}
