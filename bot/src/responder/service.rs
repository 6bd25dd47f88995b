//! An HTTP service that is asked each question.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{Question, Responder, ResponderError};
use crate::address;
use crate::api::innermost;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// Posts each question as JSON to an address; the body of the response is the answer, in plain text.
///
/// Status 200 is an answer, 204 none. After 408, 429, 5xx and a broken connection there is another try; anything else is a
/// failure.
#[derive(Clone)]
pub struct Service {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    deadline: Duration,
}

impl Service {
    /// The service at this `http` or `https` address, and how long an answer may take.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, which is not shown.
    pub fn new(address: &str, deadline: Duration) -> Result<Self, String> {
        let uri =
            address::read(address).map_err(|problem| format!("it {problem}: give http://host:port/path, or https"))?;
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| error.to_string())?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), uri, deadline })
    }

    async fn ask(&self, question: &Question) -> Result<String, ResponderError> {
        let body = serde_json::to_vec(question).map_err(|error| ResponderError::permanent(error.to_string()))?;
        let request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| ResponderError::permanent(error.to_string()))?;
        let broken = |error: &dyn std::fmt::Display| {
            ResponderError::retryable(format!("{} does not answer: {error}", self.uri.host().unwrap_or_default()))
        };
        let response = self.client.request(request).await.map_err(|error| broken(&innermost(&error)))?;
        match response.status() {
            StatusCode::NO_CONTENT => return Ok(String::new()),
            StatusCode::OK => {}
            status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => return Err(broken(&status)),
            status if status.is_server_error() => return Err(broken(&status)),
            status => return Err(ResponderError::permanent(format!("the service answers {status}"))),
        }
        let answer = Limited::new(response.into_body(), LONGEST).collect().await;
        let answer = answer.map_err(|error| match error.is::<LengthLimitError>() {
            true => ResponderError::permanent("the service's answer has more than 1 MiB"),
            false => broken(&innermost(&*error)),
        })?;
        String::from_utf8(answer.to_bytes().into())
            .map_err(|error| ResponderError::permanent(format!("the service's answer is no text: {error}")))
    }
}

/// Without the path, which may have a secret in it.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("host", &self.uri.host())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Responder for Service {
    async fn answer(&self, question: &Question) -> Result<String, ResponderError> {
        match tokio::time::timeout(self.deadline, self.ask(question)).await {
            Ok(answered) => answered,
            Err(_) => Err(ResponderError::permanent(format!(
                "the service took longer than {}",
                cofferdam::config::format_duration(self.deadline)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use hyper::header::CONTENT_LENGTH;
    use twilight_model::id::Id;

    use super::*;

    /// A body that breaks off.
    fn half_an_answer() -> impl futures_util::Stream<Item = std::io::Result<&'static str>> {
        futures_util::stream::iter([Ok("half an answer"), Err(std::io::ErrorKind::BrokenPipe.into())])
    }

    async fn asked(router: Router) -> Result<String, ResponderError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/ask", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let question = Question {
            message_id: Id::new(10),
            channel_id: Id::new(1),
            in_thread: true,
            guild_id: Some(Id::new(2)),
            author_id: Id::new(5),
            author_name: "ada".into(),
            content: "why?".into(),
        };
        Service::new(&address, Duration::from_secs(60)).unwrap().answer(&question).await
    }

    #[tokio::test]
    async fn a_service_is_sent_the_question_and_its_body_is_the_answer() {
        let echo = Router::new().route("/ask", post(async |body: String| body));
        let answer: serde_json::Value = serde_json::from_str(&asked(echo).await.unwrap()).unwrap();
        assert_eq!(answer["guild_id"], "2");
        let nothing = Router::new().route("/ask", post(async || StatusCode::NO_CONTENT));
        assert_eq!(asked(nothing).await, Ok(String::new()));
    }

    #[tokio::test]
    async fn a_failure_says_whether_another_try_helps() {
        let busy = Router::new().route("/ask", post(async || StatusCode::SERVICE_UNAVAILABLE));
        assert!(asked(busy).await.unwrap_err().is_retryable);
        assert!(!asked(Router::new()).await.unwrap_err().is_retryable);
        let long = |length: usize| Router::new().route("/ask", post(async move || "x".repeat(length)));
        assert_eq!(asked(long(LONGEST)).await.map(|answer| answer.len()), Ok(LONGEST));
        let too_long = asked(long(LONGEST + 1)).await.unwrap_err();
        assert!(!too_long.is_retryable && too_long.message.contains("more than 1 MiB"), "{too_long}");
        let cut = Router::new()
            .route("/ask", post(async || ([(CONTENT_LENGTH, "100")], Body::from_stream(half_an_answer()))));
        let broken = asked(cut).await.unwrap_err();
        assert!(broken.is_retryable && broken.message.contains("does not answer"), "{broken}");
    }

    #[test]
    fn an_address_that_cannot_be_is_refused_and_no_secret_shown() {
        for address in ["ftp://example.org", "http://127.0.0.1:99999", "http://[::1", "http://u:SECRET@host/"] {
            let problem = Service::new(address, Duration::ZERO).unwrap_err();
            assert!(problem.contains("http://host:port/path") && !problem.contains("SECRET"), "{address}: {problem}");
        }
        let service = Service::new("http://host/ask?key=SECRET", Duration::ZERO).unwrap();
        assert!(!format!("{service:?}").contains("SECRET"), "{service:?}");
    }
}
