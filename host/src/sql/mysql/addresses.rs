//! A name with several addresses, of which one may swallow everything that is sent to it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use mysql_async::{DriverError, Error, Result};
use tokio::time::timeout;

/// How long an address is tried alone before the next one is tried beside it, as browsers do (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(300);

/// Tries one address after the other, and beside each other those that do not answer soon. The others are given up once one
/// has answered.
///
/// # Errors
///
/// None of them answers. What a server said comes before what the network says.
pub(super) async fn first_to_answer<T>(
    attempts: impl IntoIterator<Item = impl Future<Output = Result<T>>>,
) -> Result<T> {
    let mut attempts = attempts.into_iter();
    let mut running: Vec<Pin<Box<_>>> = Vec::new();
    let mut failure: Option<Error> = None;
    loop {
        let is_last = match attempts.next() {
            Some(attempt) => {
                running.push(Box::pin(attempt));
                false
            }
            None => true,
        };
        while !running.is_empty() {
            let any = poll_fn(|context| {
                let ended =
                    running.iter_mut().enumerate().find_map(|(index, attempt)| match attempt.as_mut().poll(context) {
                        Poll::Ready(result) => Some((index, result)),
                        Poll::Pending => None,
                    });
                ended.map_or(Poll::Pending, Poll::Ready)
            });
            let (index, result) = match is_last {
                true => any.await,
                false => match timeout(HEAD_START, any).await {
                    Ok(ended) => ended,
                    Err(_) => break,
                },
            };
            drop(running.swap_remove(index));
            match result {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let is_answer = matches!(error, Error::Server(_));
                    if failure.as_ref().is_none_or(|failure| is_answer && !matches!(failure, Error::Server(_))) {
                        failure = Some(error);
                    }
                }
            }
            if !is_last {
                break;
            }
        }
        if is_last {
            return Err(failure.unwrap_or_else(|| DriverError::ConnectionClosed.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::io;

    use super::*;

    type Attempt = Pin<Box<dyn Future<Output = Result<u8>>>>;

    fn swallows() -> Attempt {
        Box::pin(pending())
    }

    fn answers(answer: u8) -> Attempt {
        Box::pin(ready(Ok(answer)))
    }

    fn fails(error: impl Into<Error>) -> Attempt {
        Box::pin(ready(Err(error.into())))
    }

    #[tokio::test]
    async fn one_that_swallows_is_passed_over() {
        assert_eq!(first_to_answer([swallows(), answers(2)]).await.unwrap(), 2);
        assert_eq!(first_to_answer([swallows(), swallows(), answers(3)]).await.unwrap(), 3);
        let late: Attempt = Box::pin(async {
            tokio::time::sleep(4 * HEAD_START).await;
            Ok(1)
        });
        assert_eq!(first_to_answer([late, swallows()]).await.unwrap(), 1);
        assert_eq!(first_to_answer([answers(1), swallows()]).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_a_server_says_comes_before_what_the_network_says() {
        let refused = || fails(io::Error::from(io::ErrorKind::ConnectionRefused));
        let denied = || {
            let code = 1045;
            fails(mysql_async::ServerError { code, state: "28000".into(), message: "denied".into() })
        };
        for attempts in [[refused(), denied()], [denied(), refused()]] {
            assert!(matches!(first_to_answer(attempts).await, Err(Error::Server(error)) if error.code == 1045));
        }
        assert!(matches!(first_to_answer([refused(), refused()]).await, Err(Error::Io(_))));
    }
}
