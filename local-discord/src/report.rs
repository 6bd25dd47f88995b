//! What became of the questions.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::id::Id;
use crate::record::{Entry, Rule, What};

/// A message that the bot is to answer.
#[derive(Clone, Debug)]
struct Question {
    channel: Id,
    /// What an answer contains. Without it an answer refers to the question, or is the first in the thread made from it.
    key: Option<String>,
    answers: Vec<Id>,
}

/// All questions, in the order in which they were asked.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    asked: BTreeMap<Id, Question>,
    withdrawn: u64,
    unasked: Vec<Id>,
}

impl Questions {
    pub(crate) fn ask(&mut self, message: Id, channel: Id, key: Option<String>) {
        self.asked.insert(message, Question { channel, key, answers: Vec::new() });
    }

    /// A message was deleted. A question that nobody answered needs no answer any more.
    pub(crate) fn withdraw(&mut self, message: Id) {
        if self.asked.get(&message).is_some_and(|question| question.answers.is_empty()) {
            self.asked.remove(&message);
            self.withdrawn += 1;
        }
    }

    /// The bot made a message, in a channel or thread, maybe as a reply.
    pub(crate) fn answer(&mut self, message: Id, channel: Id, reply_to: Option<Id>, content: &str) {
        let found = self.asked.iter_mut().rev().find(|(id, question)| match &question.key {
            Some(key) => content.contains(key.as_str()),
            None => reply_to == Some(**id) || (channel == **id && question.answers.is_empty()),
        });
        match found {
            Some((_, question)) => question.answers.push(message),
            None => self.unasked.push(message),
        }
    }

    pub(crate) fn all_answered(&self) -> bool {
        self.asked.values().all(|question| !question.answers.is_empty())
    }

    pub(crate) fn report(&self, entries: &[Entry]) -> Report {
        let mut report = Report { asked: self.asked.len() as u64, withdrawn: self.withdrawn, ..Report::default() };
        report.unasked = self.unasked.clone();
        let mut newest: BTreeMap<Id, Id> = BTreeMap::new();
        for (id, question) in &self.asked {
            match question.answers.as_slice() {
                [] => report.lost.push(*id),
                [answer, more @ ..] => {
                    report.answered += 1;
                    if !more.is_empty() {
                        report.twice.push(*id);
                    }
                    let before = newest.entry(question.channel).or_insert(*answer);
                    if *answer < *before {
                        report.out_of_order.push(*id);
                    }
                    *before = (*answer).max(*before);
                }
            }
        }
        for entry in entries {
            match &entry.what {
                What::Request { .. } => report.requests += 1,
                What::Identified { .. } => report.identifies += 1,
                What::Resumed { .. } => report.resumes += 1,
                What::Fault { .. } => report.faults += 1,
                What::SameNonce { .. } => report.same_nonce += 1,
                What::Broken { rule, detail } => {
                    *report.broken.entry(*rule).or_default() += 1;
                    report.broken_at.push(detail.clone());
                }
                _ => {}
            }
        }
        report
    }
}

/// What became of the questions, and which rules were broken. Good is `Report::is_clean`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Messages that were to be answered, without those that were deleted before.
    pub asked: u64,
    /// Those with an answer at least.
    pub answered: u64,
    /// Those with more than one answer.
    pub twice: Vec<Id>,
    /// Those without an answer so far.
    pub lost: Vec<Id>,
    /// Those that were answered before an earlier one of the same channel.
    pub out_of_order: Vec<Id>,
    /// Questions that were deleted before they were answered.
    pub withdrawn: u64,
    /// The bot's messages that answer no question.
    pub unasked: Vec<Id>,
    /// Creates for which a remembered nonce spared a second message.
    pub same_nonce: u64,
    /// Requests.
    pub requests: u64,
    /// Sessions that began.
    pub identifies: u64,
    /// Sessions that were resumed.
    pub resumes: u64,
    /// Faults that struck.
    pub faults: u64,
    /// How often each rule was broken.
    pub broken: BTreeMap<Rule, u64>,
    /// Where, in the order of time.
    pub broken_at: Vec<String>,
}

impl Report {
    /// Whether each question has one answer, in order, and no rule was broken.
    pub fn is_clean(&self) -> bool {
        self.twice.is_empty() && self.lost.is_empty() && self.out_of_order.is_empty() && self.broken.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "asked         {:>7}   (and {} deleted before they were answered)", self.asked, self.withdrawn)?;
        writeln!(f, "answered      {:>7}   (and {} messages that answer nothing)", self.answered, self.unasked.len())?;
        writeln!(f, "twice         {:>7}   (and {} spared by a nonce)", self.twice.len(), self.same_nonce)?;
        writeln!(f, "lost          {:>7}", self.lost.len())?;
        writeln!(f, "out of order  {:>7}", self.out_of_order.len())?;
        writeln!(f, "rules broken  {:>7}", self.broken.values().sum::<u64>())?;
        for (rule, times) in &self.broken {
            writeln!(f, "  {rule:?}: {times}")?;
        }
        let Self { requests, identifies, resumes, faults, .. } = self;
        write!(f, "{requests} requests, {identifies} sessions, {resumes} resumes, {faults} faults")
    }
}
