//! Pages of all rows in the order of their keys, with what waits in the spool in its place: for readers that do not want to hold
//! all rows in memory.

use std::collections::BTreeMap;

use super::ResilientStorage;
use crate::error::Result;
use crate::model::{MessageKey, MessageState, ThreadOwnership};
use crate::service::TransferService;

/// Some rows in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<R, K> {
    /// The rows. There may be none although a page follows.
    pub rows: Vec<R>,
    /// What to ask the next page with; `None` at the end.
    pub next: Option<K>,
}

impl ResilientStorage {
    /// Returns states with a key greater than `after`: at most twice `limit`, bytewise by channel id and thread id, none first.
    /// Writes that wait in the spool are among them, as in
    /// [`get_all_message_states`](crate::StorageService::get_all_message_states). A row that is written while pages are read is
    /// in them as it was before or after.
    ///
    /// # Errors
    ///
    /// As [`export_message_states`](TransferService::export_message_states).
    pub async fn page_of_message_states(
        &self,
        after: Option<&MessageKey>,
        limit: u32,
    ) -> Result<Page<MessageState, MessageKey>> {
        // Before the database is read: what leaves the spool meanwhile may be in its answer or not.
        let waiting = match self.shared.waiting()? {
            Some(journal) => journal.view().states_after(after, size(limit)),
            None => Vec::new(),
        };
        let stored = self.export_message_states(after, limit).await?;
        Ok(merged(stored, waiting, limit, key_of, |_| true))
    }

    /// Returns ownerships with a thread id greater than `after`, as
    /// [`page_of_message_states`](Self::page_of_message_states) returns states.
    ///
    /// # Errors
    ///
    /// As [`export_thread_ownerships`](TransferService::export_thread_ownerships).
    pub async fn page_of_thread_ownerships(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<ThreadOwnership, String>> {
        let (waiting, cleanups) = match self.shared.waiting()? {
            Some(journal) => {
                let view = journal.view();
                (view.ownerships_after(after, size(limit)), view.cleanups())
            }
            None => (Vec::new(), Vec::new()),
        };
        let stored = self.export_thread_ownerships(after, limit).await?;
        let outlives = |row: &ThreadOwnership| cleanups.iter().all(|cutoff| row.creation_time >= *cutoff);
        Ok(merged(stored, waiting, limit, |row| row.thread_id.clone(), outlives))
    }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn key_of(state: &MessageState) -> MessageKey {
    MessageKey { channel_id: state.channel_id.clone(), thread_id: state.thread_id.clone() }
}

/// The database's rows, as far as they are shown, with those that wait in their place; `None` waits for a row that is removed.
/// Both are the first `limit` of their kind, so that the page ends where the shorter of them does.
fn merged<R, K: Ord + Clone>(
    stored: Vec<R>,
    waiting: Vec<(K, Option<R>)>,
    limit: u32,
    key: impl Fn(&R) -> K,
    is_shown: impl Fn(&R) -> bool,
) -> Page<R, K> {
    let last_stored = (stored.len() >= size(limit)).then(|| stored.last().map(&key)).flatten();
    let last_waiting = (waiting.len() >= size(limit)).then(|| waiting.last().map(|(key, _)| key.clone())).flatten();
    let next = match (last_stored, last_waiting) {
        (Some(stored), Some(waiting)) => Some(stored.min(waiting)),
        (stored, waiting) => stored.or(waiting),
    };
    let mut rows: BTreeMap<K, Option<R>> =
        stored.into_iter().filter(is_shown).map(|row| (key(&row), Some(row))).collect();
    rows.extend(waiting);
    let is_here = |key: &K| next.as_ref().is_none_or(|next| key <= next);
    let rows = rows.into_iter().filter(|(key, _)| is_here(key)).filter_map(|(_, row)| row).collect();
    Page { rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages as a reader gets them, each with its rows and what the next one begins after.
    fn pages(stored: &[(u8, char)], waiting: &[(u8, Option<char>)], limit: u32) -> Vec<(String, Option<u8>)> {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let is_later = |key: u8| after.is_none_or(|after| key > after);
            let stored = stored.iter().copied().filter(|row| is_later(row.0)).take(size(limit)).collect();
            let waiting = waiting.iter().filter(|row| is_later(row.0)).take(size(limit));
            let waiting = waiting.map(|(key, row)| (*key, row.map(|row| (*key, row)))).collect();
            let page = merged(stored, waiting, limit, |row: &(u8, char)| row.0, |row| row.1 != '-');
            pages.push((page.rows.iter().map(|row| row.1).collect(), page.next));
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn what_waits_takes_the_place_of_what_is_stored_and_no_row_is_missed_or_repeated() {
        let stored: Vec<(u8, char)> = (b'a'..=b'z').step_by(2).map(|key| (key, char::from(key))).collect();
        let waiting: Vec<(u8, Option<char>)> =
            (b'b'..=b'm').map(|key| (key, Some(char::from(key).to_ascii_uppercase()))).collect();
        for limit in 1..30 {
            let all: String = pages(&stored, &waiting, limit).into_iter().map(|page| page.0).collect();
            assert_eq!(all, "aBCDEFGHIJKLMoqsuwy", "{limit}");
        }
    }

    #[test]
    fn a_page_may_be_empty_and_is_not_the_last_then() {
        let hidden = [(1, '-'), (2, '-'), (3, 'x')];
        assert_eq!(pages(&hidden, &[], 2), [(String::new(), Some(2)), ("x".into(), None)]);
        assert_eq!(pages(&[(3, 'x')], &[(1, None), (3, None)], 1)[0], (String::new(), Some(1)));
        assert_eq!(pages(&[(3, 'x')], &[(3, None)], 5), [(String::new(), None)]);
    }
}
