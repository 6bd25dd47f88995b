//! When a shard may identify: Discord takes one of each key in five seconds, whichever process of the bot it comes from.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::sleep;
use twilight_gateway::ShardId;
use twilight_gateway::queue::{InMemoryQueue, Queue};

use crate::journal::Journal;

/// Discord's five seconds begin when the request arrives, which is a little later than it was sent.
const INTERVAL: Duration = Duration::from_secs(6);

/// Twilight's queue, which knows of this process alone, behind what the journal knows of those before.
#[derive(Clone, Debug)]
pub struct Identifies {
    queue: InMemoryQueue,
    journal: Arc<Journal>,
    /// One for each key.
    turns: Arc<[Mutex<()>]>,
    interval: Duration,
}

impl Identifies {
    /// With so many keys, which is what Discord calls the maximum concurrency.
    pub fn new(queue: InMemoryQueue, journal: Arc<Journal>, keys: u16) -> Self {
        Self { queue, journal, turns: (0..keys.max(1)).map(|_| Mutex::default()).collect(), interval: INTERVAL }
    }

    /// A shard is about to identify, or has just been let in.
    pub fn note(&self, shard: ShardId) {
        self.keep(self.key(shard.number()));
    }

    fn key(&self, shard: u32) -> usize {
        shard as usize % self.turns.len()
    }

    fn keep(&self, key: usize) {
        self.journal.keep_wait(&name(key), self.interval);
    }

    /// Waits for the turn of a shard. False if twilight's queue has ended.
    async fn wait(&self, shard: u32) -> bool {
        let key = self.key(shard);
        let _turn = self.turns[key].lock().await;
        loop {
            match self.journal.wait_of(&name(key)) {
                Duration::ZERO => break,
                left => sleep(left).await,
            }
        }
        let is_granted = self.queue.enqueue(shard).await.is_ok();
        // Before it is sent: a process that comes after a crash at this moment waits with its own.
        self.keep(key);
        is_granted
    }
}

impl Queue for Identifies {
    fn enqueue(&self, shard: u32) -> oneshot::Receiver<()> {
        let (mut permit, granted) = oneshot::channel();
        let queue = self.clone();
        tokio::spawn(async move {
            let is_granted = tokio::select! {
                () = permit.closed() => false,
                is_granted = queue.wait(shard) => is_granted,
            };
            if is_granted {
                // A shard that has gone since asks again.
                let _ = permit.send(());
            }
        });
        granted
    }
}

fn name(key: usize) -> String {
    format!("identify {key}")
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn one_life_waits_for_the_identify_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        // Twilight's queue itself is off.
        let queue = InMemoryQueue::new(0, 10, Duration::ZERO, 10);
        let life = |interval| {
            let journal = Arc::new(Journal::open(&path).unwrap());
            Identifies { interval, ..Identifies::new(queue.clone(), journal, 2) }
        };
        // One key is to wait longer than all of this takes, and the other one not.
        let (long, short) = (Duration::from_secs(60), Duration::from_millis(500));
        life(long).enqueue(0).await.unwrap();
        let began = Instant::now();
        life(short).enqueue(1).await.unwrap();
        let last = life(short);
        let (same, other) = (last.enqueue(2), last.enqueue(3));
        tokio::select! {
            biased;
            _ = same => panic!("too soon"),
            granted = other => granted.unwrap(),
        }
        assert!(began.elapsed() >= short, "{:?}", began.elapsed());
    }
}
