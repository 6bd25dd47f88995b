//! What a storage has to come with to be tested.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use cofferdam::clock::ManualClock;
use cofferdam::{StorageService, TransferService};

/// Where the clock of every [`Subject`] stands at first: 2023-11-14, in seconds since the Unix epoch.
pub const NOW: i64 = 1_700_000_000;

/// Any error: what makes storages fails with errors of its own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    /// The clock has to stand at [`NOW`]. `home` is what has to outlive the storage, such as its folder.
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
pub trait Harness: Send + Sync {
    /// What reports call it, such as `sqlite`.
    fn name(&self) -> &str;

    /// A storage with an empty database that belongs to nobody else, not yet initialised. Several are used at a time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database or the storage from being made.
    async fn uninitialized(&self) -> Result<Subject, BoxError>;

    /// As [`uninitialized`](Self::uninitialized), and ready for work.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from being made or initialised.
    async fn initialized(&self) -> Result<Subject, BoxError> {
        let subject = self.uninitialized().await?;
        subject.initialize().await?;
        Ok(subject)
    }
}
