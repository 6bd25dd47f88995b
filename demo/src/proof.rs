//! What both sides say.

use anyhow::Result;
use cofferdam::{Config, ResilientStorage, StorageService};
use local_discord::{Discord, Id, Report};
use serde_json::{Value, json};

use crate::crowd::Crowd;

/// Rows that must be in the database, and those of them that are.
struct Matched {
    expected: usize,
    right: usize,
}

impl Matched {
    fn holds(&self) -> bool {
        self.expected == self.right
    }
}

/// What the local Discord has seen, and what is in the database.
pub struct Proof {
    events: usize,
    report: Report,
    states: Matched,
    threads: Matched,
}

impl Proof {
    pub async fn of(discord: &Discord, crowd: &Crowd, config: Config) -> Result<Self> {
        let storage = ResilientStorage::builder(config).build()?;
        storage.initialize().await?;
        let states = storage.get_all_message_states().await?;
        let ownerships = storage.get_all_thread_ownerships().await?;
        storage.close().await?;
        let bot = discord.bot().to_string();
        let has_state = |channel: &Id, message: &Id| {
            let (channel, message) = (channel.to_string(), message.to_string());
            let is_thread = crowd.threads().keys().any(|thread| thread.to_string() == channel);
            let mut found = states.iter().filter(|state| state.channel_id == channel);
            let state = found.next();
            found.next().is_none()
                && state.is_some_and(|state| {
                    let thread = is_thread.then_some(channel.as_str());
                    state.last_message_id == message && state.thread_id.as_deref() == thread
                })
        };
        let is_owned = |thread: &Id, user: &Id| {
            let (thread, user) = (thread.to_string(), user.to_string());
            ownerships
                .iter()
                .any(|row| row.thread_id == thread && row.original_user_id == user && row.created_by == bot)
        };
        Ok(Self {
            events: crowd.events(),
            report: discord.report(),
            states: Matched {
                expected: crowd.last().len(),
                right: crowd.last().iter().filter(|(channel, message)| has_state(channel, message)).count(),
            },
            threads: Matched {
                expected: crowd.threads().len(),
                right: crowd.threads().iter().filter(|(thread, user)| is_owned(thread, user)).count(),
            },
        })
    }

    /// Whether everything is as it must be.
    pub fn holds(&self) -> bool {
        let Self { report, states, threads, .. } = self;
        report.is_clean() && report.unasked.is_empty() && states.holds() && threads.holds()
    }

    pub fn text(&self) -> String {
        let report = &self.report;
        let zero = |count: usize| if count == 0 { "ok" } else { "WRONG" };
        let all = |matched: &Matched| if matched.holds() { "ok" } else { "WRONG" };
        let of = |matched: &Matched| format!("{} of {}", matched.right, matched.expected);
        let broken = report.broken.values().sum::<u64>();
        let rows = [
            ("events", self.events.to_string(), ""),
            ("questions", report.asked.to_string(), ""),
            ("answered", report.answered.to_string(), zero(report.asked.abs_diff(report.answered) as usize)),
            ("lost", report.lost.len().to_string(), zero(report.lost.len())),
            ("answered twice", report.twice.len().to_string(), zero(report.twice.len())),
            ("answered unasked", report.unasked.len().to_string(), zero(report.unasked.len())),
            ("answered out of order", report.out_of_order.len().to_string(), zero(report.out_of_order.len())),
            ("answers spared by their nonce", report.same_nonce.to_string(), ""),
            ("sessions begun and resumed", format!("{} and {}", report.identifies, report.resumes), ""),
            ("requests to Discord", report.requests.to_string(), ""),
            ("rate limits broken", broken.to_string(), zero(broken as usize)),
            ("states as last answered", of(&self.states), all(&self.states)),
            ("threads owned", of(&self.threads), all(&self.threads)),
        ];
        let wide = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
        let far = rows.iter().map(|(_, value, _)| value.len()).max().unwrap_or_default();
        let lines = rows.iter().map(|(name, value, verdict)| format!("{name:<wide$}  {value:>far$}  {verdict}"));
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    pub fn json(&self, ok: bool) -> Value {
        let matched = |matched: &Matched| json!({ "expected": matched.expected, "right": matched.right });
        json!({
            "ok": ok,
            "events": self.events,
            "discord": self.report,
            "states": matched(&self.states),
            "ownerships": matched(&self.threads),
        })
    }
}
