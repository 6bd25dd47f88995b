//! The gateway's sessions.

use super::{Journal, JournalError};

/// A session of the gateway, and the last event up to which all have been dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its id.
    pub session: String,
    /// The event from which it is to be resumed.
    pub sequence: u64,
    /// Where it is to be resumed.
    pub resume_url: String,
}

impl Journal {
    /// The session of this shard of so many, if there is one.
    pub fn session(&self, shard: u32, shards: u32) -> Result<Option<Saved>, JournalError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT session, sequence, resume_url FROM sessions WHERE shard = ?1 AND shards = ?2",
            )?;
            let saved = |row: &rusqlite::Row<'_>| {
                let sequence: i64 = row.get(1)?;
                Ok(Saved { session: row.get(0)?, sequence: sequence as u64, resume_url: row.get(2)? })
            };
            select.query_map((shard, shards), saved)?.next().transpose()
        })
    }

    /// Keeps the session of this shard, in the place of the one before.
    pub fn save_session(&self, shard: u32, shards: u32, saved: &Saved) -> Result<(), JournalError> {
        let values = (shard, shards, &saved.session, saved.sequence as i64, &saved.resume_url);
        self.write("INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5)", values)
    }

    /// Forgets the session of this shard, which Discord has ended.
    pub fn drop_session(&self, shard: u32, shards: u32) -> Result<(), JournalError> {
        self.write("DELETE FROM sessions WHERE shard = ?1 AND shards = ?2", (shard, shards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_of_its_shard_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.db")).unwrap();
        let saved = |sequence| Saved { session: "s".into(), sequence, resume_url: "wss://example".into() };
        journal.save_session(0, 2, &saved(1)).unwrap();
        journal.save_session(0, 2, &saved(7)).unwrap();
        assert_eq!(journal.session(0, 2).unwrap(), Some(saved(7)));
        assert_eq!((journal.session(1, 2).unwrap(), journal.session(0, 1).unwrap()), (None, None));
        journal.drop_session(0, 2).unwrap();
        assert_eq!(journal.session(0, 2).unwrap(), None);
    }
}
