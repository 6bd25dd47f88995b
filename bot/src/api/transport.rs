//! The connection to the API.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use twilight_gateway::API_VERSION;
use twilight_http::routing::Route;

use super::{ApiError, innermost};
use crate::error::BotError;
use crate::settings::Settings;

/// How long an answer may take, and then its body.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest body that is read, in bytes: more than a page of the longest messages.
const LARGEST: usize = 8 << 20;

/// As Discord demands it.
const NAME: &str = concat!("DiscordBot (", env!("CARGO_PKG_REPOSITORY"), ", ", env!("CARGO_PKG_VERSION"), ")");

/// The connection to the API.
#[derive(Debug)]
pub struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    /// Marked as sensitive, so that no `Debug` shows it.
    authorization: HeaderValue,
}

impl Transport {
    /// To the address in the settings, or to Discord.
    ///
    /// # Errors
    ///
    /// If TLS is of no use on this machine, or the token is none.
    pub fn new(settings: &Settings) -> Result<Self, BotError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| BotError::Settings(format!("TLS cannot be used: {error}")))?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        let base = match &settings.api {
            Some(address) => format!("{}://{}", if address.is_plain { "http" } else { "https" }, address.host),
            None => "https://discord.com".into(),
        };
        let mut authorization = HeaderValue::try_from(format!("Bot {}", settings.token.expose()))
            .map_err(|_| BotError::Settings("the token has characters that no token has".into()))?;
        authorization.set_sensitive(true);
        Ok(Self { client, base: format!("{base}/api/v{API_VERSION}"), authorization })
    }

    /// Sends a request, and waits for the head of its answer.
    pub async fn send(&self, route: &Route<'_>, body: Option<Bytes>) -> Result<Response<Incoming>, ApiError> {
        let is_write = body.is_some();
        let body = body.unwrap_or_default();
        let mut request = Request::builder()
            .method(route.method().name())
            .uri(format!("{}/{route}", self.base))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(USER_AGENT, NAME)
            .header(CONTENT_LENGTH, body.len());
        if is_write {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| ApiError::Unanswered(error.to_string()))?;
        match timeout(PATIENCE, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| ApiError::broken(&error)),
            Err(_) => Err(ApiError::Unanswered("in time".into())),
        }
    }
}

/// Reads the body of an answer.
pub async fn body(answer: Incoming) -> Result<Bytes, ApiError> {
    match timeout(PATIENCE, Limited::new(answer, LARGEST).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(ApiError::Unanswered(innermost(&*error))),
        Err(_) => Err(ApiError::Unanswered("to the end".into())),
    }
}
