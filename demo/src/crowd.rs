//! People who talk, and sometimes to the bot.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use local_discord::{Discord, Id, Kind};

pub const CHANNELS: [&str; 10] =
    ["general", "tides", "pumps", "sheet-piles", "night-shift", "weather", "tools", "diving", "canteen", "off-topic"];

const PEOPLE: [&str; 12] =
    ["ada", "farouk", "greta", "hoshi", "ines", "jonas", "katinka", "liam", "mara", "noor", "otis", "petra"];

const QUESTIONS: [&str; 8] = [
    "What is the best way to drive sheet piles in gravel?",
    "How much may a pump fall behind before we leave?",
    "Which valve is older than the dam?",
    "潮はいつ来ますか?",
    "Can I weld below the waterline 🌊?",
    "Who has the key to the old gate?",
    "Why does the wall sing at night?",
    "Is 40 cm of freeboard enough in a storm?",
];

const TALK: [&str; 8] = [
    "it holds",
    "the water is at 2.10 now",
    "I left the key at the old gate",
    "lunch?",
    "潮が来る",
    "pump 3 again",
    "no rain until Thursday",
    "who moved my ladder",
];

/// The pause between two events.
const PACE: Duration = Duration::from_millis(1);

/// Who talks, and what was asked.
pub struct Crowd {
    people: Vec<Id>,
    channels: Vec<Id>,
    random: Rng,
    events: usize,
    /// The last question of each channel and thread.
    last: BTreeMap<Id, Id>,
    /// Who began each thread.
    threads: BTreeMap<Id, Id>,
}

impl Crowd {
    pub fn new(discord: &Discord, seed: u64) -> Self {
        let people = PEOPLE.iter().map(|name| discord.create_user(name, Kind::Person)).collect();
        let channels = discord.channels().into_iter().map(|(id, _)| id).collect();
        let random = Rng::with_seed(seed);
        Self { people, channels, random, events: 0, last: BTreeMap::new(), threads: BTreeMap::new() }
    }

    /// Lets so many things be said: most in channels, and one in ten to the bot.
    pub async fn play(&mut self, discord: &Discord, events: usize) -> Result<()> {
        for _ in 0..events {
            self.events += 1;
            let person = self.any(&self.people.clone())?;
            let channel = self.any(&self.channels.clone())?;
            // A thread is there once the bot has made it.
            let known: Vec<_> = discord.channels().into_iter().map(|(id, _)| id).collect();
            let threads: Vec<_> = self.threads.keys().copied().filter(|thread| known.contains(thread)).collect();
            let question = self.any(&QUESTIONS)?;
            match self.random.u32(..100) {
                0..3 => {
                    let content = format!("<@{}> {question}", discord.bot());
                    let asked = discord.ask(channel, person, &content, None)?;
                    self.last.insert(channel, asked);
                    self.threads.insert(asked, person);
                }
                3..10 if !threads.is_empty() => {
                    let thread = self.any(&threads)?;
                    let asked = discord.ask(thread, person, question, None)?;
                    self.last.insert(thread, asked);
                }
                _ => {
                    discord.say(channel, person, self.random.choice(TALK).unwrap_or_default())?;
                }
            }
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// How many things were said.
    pub fn events(&self) -> usize {
        self.events
    }

    /// The last question of each channel and thread: what its state must be.
    pub fn last(&self) -> &BTreeMap<Id, Id> {
        &self.last
    }

    /// The threads that the bot must own, and for whom it made them.
    pub fn threads(&self) -> &BTreeMap<Id, Id> {
        &self.threads
    }

    fn any<T: Copy>(&mut self, of: &[T]) -> Result<T> {
        self.random.choice(of.iter().copied()).context("nothing to choose from")
    }
}
