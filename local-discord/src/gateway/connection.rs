//! One connection to the gateway.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::close;
use super::codec::Codec;
use super::enter::{self, Refused};
use super::frames::Frames;
use super::session::{Out, Sent, frame};
use crate::app::App;
use crate::faults::{Act, Moment};
use crate::id::Id;
use crate::query::Query;
use crate::record::{By, Rule, What};
use crate::wire::Switch;

/// How a connection ends.
pub(super) enum End {
    /// The gateway closes it.
    Server(u16),
    /// The client closed it.
    Client(Option<u16>),
    /// It is cut here.
    Cut,
    /// It was lost.
    Lost,
}

/// Whether what was about to happen still does.
#[derive(PartialEq)]
pub(super) enum Then {
    Go,
    Stop,
}

pub(super) struct Connection {
    pub(super) app: App,
    pub(super) socket: WebSocket,
    switch: Switch,
    codec: Codec,
    pub(super) number: u64,
    out: mpsc::UnboundedSender<Out>,
    orders: mpsc::UnboundedReceiver<Out>,
    /// Frames that arrived while something was held.
    pub(super) pending: VecDeque<Message>,
    pub(super) session: Option<String>,
    frames: Frames,
    /// When the last heartbeat came.
    beat: Duration,
}

/// Takes a connection to the gateway.
pub(crate) async fn upgrade(
    State(app): State<App>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    uri: Uri,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| run(app, socket, switch, uri))
}

async fn run(app: App, socket: WebSocket, switch: Switch, uri: Uri) {
    let query = Query::new(uri.query());
    let codec = Codec::new(query.get("compress"));
    let (out, orders) = mpsc::unbounded_channel();
    let number = {
        let mut state = app.lock();
        state.gateway.connections += 1;
        let number = state.gateway.connections;
        let now_ms = state.clock.now_ms();
        state.record.add(now_ms, What::Opened { connection: number });
        state.gateway.open.insert(number, out.clone());
        number
    };
    let refused = if query.get("v").is_some_and(|version| version != "10") {
        Some(close::INVALID_VERSION)
    } else if codec.is_none() || query.get("encoding").is_some_and(|encoding| encoding != "json") {
        Some(close::DECODE)
    } else {
        None
    };
    let frames = Frames::new(app.settings.limits.frames, 60_000);
    let mut connection = Connection {
        beat: app.clock.now(),
        codec: codec.unwrap_or(Codec::Plain),
        app,
        socket,
        switch,
        number,
        out,
        orders,
        pending: VecDeque::new(),
        session: None,
        frames,
    };
    let end = match refused {
        Some(code) => End::Server(code),
        None => connection.talk().await.unwrap_or_else(|end| end),
    };
    connection.end(end).await;
}

impl Connection {
    async fn talk(&mut self) -> Result<End, End> {
        let acts = self.faults(&Moment::Connect, None, |_| true);
        self.strike(acts, &Moment::Connect, None, "").await?;
        let interval = self.app.settings.heartbeat;
        self.send(10, json!({ "heartbeat_interval": u64::try_from(interval.as_millis()).unwrap_or(u64::MAX) })).await?;
        match self.serve(interval).await? {}
    }

    async fn serve(&mut self, interval: Duration) -> Result<Infallible, End> {
        loop {
            if let Some(message) = self.pending.pop_front() {
                self.receive(message).await?;
                continue;
            }
            // Half an interval is for the way here.
            let patience = self.beat + interval + interval / 2;
            let clock = self.app.clock.clone();
            tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.receive(message).await?,
                    _ => return Err(End::Lost),
                },
                Some(order) = self.orders.recv() => self.obey(order).await?,
                () = clock.sleep_until(patience) => return Err(End::Server(close::SESSION_TIMED_OUT)),
            }
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(End::Server(close::DECODE)),
            Message::Close(frame) => return Err(End::Client(frame.map(|frame| frame.code))),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        let now_ms = self.app.clock.now_ms();
        if !self.frames.count(now_ms) {
            self.record(What::Broken { rule: Rule::Frames, detail: format!("connection {}", self.number) });
            return Err(End::Server(close::RATE_LIMITED));
        }
        if text.len() > self.app.settings.limits.frame_size {
            return Err(End::Server(close::DECODE));
        }
        let Ok(Value::Object(mut frame)) = serde_json::from_str(&text) else { return Err(End::Server(close::DECODE)) };
        let data = frame.remove("d").unwrap_or_default();
        match frame.get("op").and_then(Value::as_u64) {
            Some(1) => self.heartbeat().await,
            Some(2) => self.enter(Moment::Identify, data).await,
            Some(6) => self.enter(Moment::Resume, data).await,
            // Presence, voice, members, soundboard: nothing comes of them here.
            Some(3 | 4 | 8 | 31) if self.session.is_some() => Ok(()),
            Some(3 | 4 | 8 | 31) => Err(End::Server(close::NOT_AUTHENTICATED)),
            Some(_) => Err(End::Server(close::UNKNOWN_OPCODE)),
            None => Err(End::Server(close::DECODE)),
        }
    }

    async fn heartbeat(&mut self) -> Result<(), End> {
        self.beat = self.app.clock.now();
        self.record(What::Heartbeat { connection: self.number });
        let acts = self.faults(&Moment::Heartbeat, None, |_| true);
        let withheld = acts.contains(&Act::Withhold);
        if self.strike(acts, &Moment::Heartbeat, None, "").await? == Then::Stop || withheld {
            return Ok(());
        }
        self.send(11, Value::Null).await
    }

    async fn enter(&mut self, moment: Moment, data: Value) -> Result<(), End> {
        if self.session.is_some() {
            return Err(End::Server(close::ALREADY_AUTHENTICATED));
        }
        let acts = self.faults(&moment, None, |_| true);
        if self.strike(acts, &moment, None, "").await? == Then::Stop {
            return Ok(());
        }
        let (number, out) = (self.number, self.out.clone());
        let entered = match moment {
            Moment::Identify => enter::identify(&mut self.app.lock(), &data, self.app.address, number, out),
            _ => enter::resume(&mut self.app.lock(), &data, number, out),
        };
        match entered {
            Ok(session) => self.session = Some(session),
            Err(Refused::Close(code)) => return Err(End::Server(code)),
            Err(Refused::Invalid) => self.invalid(false).await?,
        }
        Ok(())
    }

    async fn obey(&mut self, order: Out) -> Result<(), End> {
        match order {
            Out::Event(event) => self.event(&event).await,
            Out::Close(code) => Err(End::Server(code)),
            Out::Reconnect => self.send(7, Value::Null).await,
            Out::InvalidSession { resumable } => self.invalid(resumable).await,
            Out::AskHeartbeat => self.send(1, Value::Null).await,
        }
    }

    async fn event(&mut self, event: &Sent) -> Result<(), End> {
        // What was meant for a session that this connection has lost since stays in its buffer.
        if self.session.is_none() {
            return Ok(());
        }
        let moment = Moment::Event(event.name.to_owned());
        let mut acts = self.faults(&moment, event.channel, Act::is_of_connection);
        let cut = acts.contains(&Act::Cut);
        acts.retain(|act| *act != Act::Cut);
        if self.strike(acts, &moment, event.channel, &event.text).await? == Then::Stop {
            return Ok(());
        }
        let message = self.codec.encode(&event.text).map_err(|_| End::Lost)?;
        if cut {
            self.switch.cut_after(length(&message) / 2);
        } else {
            let Sent { seq, name, channel, subject, .. } = *event;
            let mut state = self.app.lock();
            let now_ms = state.clock.now_ms();
            state.record.add(now_ms, What::Event { connection: self.number, seq, name, channel, subject });
        }
        self.socket.send(message).await.map_err(|_| End::Lost)
    }

    pub(super) async fn send(&mut self, op: u8, data: Value) -> Result<(), End> {
        let message = self.codec.encode(&frame(op, data, None)).map_err(|_| End::Lost)?;
        self.socket.send(message).await.map_err(|_| End::Lost)
    }

    fn faults(&self, moment: &Moment, channel: Option<Id>, fits: impl Fn(&Act) -> bool) -> Vec<Act> {
        self.app.lock().fault(moment, channel, fits)
    }

    fn record(&self, what: What) {
        let mut state = self.app.lock();
        let now_ms = state.clock.now_ms();
        state.record.add(now_ms, what);
    }

    async fn end(mut self, end: End) {
        let (code, by) = match end {
            End::Server(code) => (Some(code), By::Server),
            End::Client(code) => (code, By::Client),
            End::Cut | End::Lost => (None, By::Lost),
        };
        // A client that says farewell ends its session, and so does the gateway that has waited for it in vain.
        let over = match by {
            By::Client => matches!(code, Some(1000 | 1001)),
            By::Server => code == Some(close::SESSION_TIMED_OUT),
            By::Lost => false,
        };
        {
            let mut state = self.app.lock();
            let now_ms = state.clock.now_ms();
            state.record.add(now_ms, What::Closed { connection: self.number, code, by });
            state.gateway.open.remove(&self.number);
            if let Some(id) = self.session.take() {
                state.gateway.leave(&id, self.number, over, now_ms);
            }
        }
        match end {
            End::Cut => return self.switch.cut(),
            End::Lost => return,
            End::Server(code) => {
                let frame = CloseFrame { code, reason: close::reason(code).into() };
                if self.socket.send(Message::Close(Some(frame))).await.is_err() {
                    return;
                }
            }
            // The socket answers it by itself.
            End::Client(_) => {}
        }
        // Until the client has read it: closing earlier could take it back.
        let farewell = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
    }
}

fn length(message: &Message) -> u64 {
    match message {
        Message::Text(text) => text.len() as u64,
        Message::Binary(bytes) => bytes.len() as u64,
        _ => 0,
    }
}
