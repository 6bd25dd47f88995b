//! Says it again.

use async_trait::async_trait;

use super::{Question, Responder, ResponderError};

/// Answers with the question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

#[async_trait]
impl Responder for Echo {
    async fn answer(&self, question: &Question) -> Result<String, ResponderError> {
        Ok(question.content.clone())
    }
}
