//! What a test does with a local Discord.

mod strikes;
mod watch;
mod world;

use std::net::SocketAddr;

use axum::Router;
use axum::routing::any;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::settings::Settings;
use crate::wire::{Mains, Switch, listen};
use crate::{gateway, local, rest};

/// A Discord on loopback. It ends when it is dropped.
#[derive(Debug)]
pub struct Discord {
    app: App,
    /// What ends with it; other handles have none.
    owned: Option<[JoinHandle<()>; 2]>,
}

impl Drop for Discord {
    fn drop(&mut self) {
        for task in self.owned.iter().flatten() {
            task.abort();
        }
        if self.owned.is_some() {
            self.app.holds.release_all();
            self.app.mains.cut();
        }
    }
}

impl Discord {
    /// Starts a Discord with the guilds and channels of the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the port cannot be opened.
    pub async fn start(settings: Settings) -> Result<Self> {
        let mains = Mains::default();
        let wanted = settings.listen;
        let opened = listen(wanted, mains.clone()).await;
        let (lines, address) = opened.map_err(|source| Error::Listen { address: wanted, source })?;
        let guilds = settings.guilds.clone();
        let app = App::new(settings, address, mains);
        let routes = Router::new()
            .route("/", any(gateway::upgrade))
            .nest("/api/v10", rest::routes(&app))
            .nest("/local", local::routes())
            .with_state(app.clone());
        let service = routes.into_make_service_with_connect_info::<Switch>();
        let server = tokio::spawn(async move {
            // It ends only with its task.
            let _ = axum::serve(lines, service).await;
        });
        let caretaker = tokio::spawn(app.clone().caretake());
        let discord = Self { app, owned: Some([server, caretaker]) };
        for (guild, channels) in guilds {
            let guild = discord.create_guild(&guild);
            for channel in channels {
                discord.create_channel(guild, &channel)?;
            }
        }
        Ok(discord)
    }

    /// Another handle, which ends nothing.
    pub(crate) fn handle(app: App) -> Self {
        Self { app, owned: None }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// The base of REST's paths, such as `http://127.0.0.1:4000`; the paths start with `/api/v10`.
    pub fn api(&self) -> String {
        format!("http://{}", self.app.address)
    }

    /// The gateway's URL, such as `ws://127.0.0.1:4000`.
    pub fn gateway(&self) -> String {
        format!("ws://{}", self.app.address)
    }

    /// The bot's token, without the word `Bot`.
    pub fn token(&self) -> String {
        self.app.settings.token.clone()
    }

    /// The bot's user, whose id is that of its application too.
    pub fn bot(&self) -> Id {
        self.app.lock().world.bot
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.app.clock
    }

    /// All guilds with their names.
    pub fn guilds(&self) -> Vec<(Id, String)> {
        self.app.lock().world.guilds.values().map(|guild| (guild.id, guild.name.clone())).collect()
    }

    /// All channels and threads with their names, direct channels without.
    pub fn channels(&self) -> Vec<(Id, String)> {
        self.app.lock().world.channels.values().map(|channel| (channel.id, channel.name.clone())).collect()
    }
}
