//! The registry's lock: HTTP Basic, one user.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::error::RegistryError;

/// What the right header hashes to: a comparison of hashes tells nobody how much of a guess was right.
#[derive(Clone)]
pub struct Login {
    expected: [u8; 32],
}

impl Login {
    pub fn new(user: &str, password: &str) -> Self {
        let header = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self { expected: Sha256::digest(header).into() }
    }

    fn admits(&self, given: Option<&HeaderValue>) -> bool {
        given.is_some_and(|given| self.expected == <[u8; 32]>::from(Sha256::digest(given.as_bytes())))
    }
}

pub async fn check(State(login): State<Login>, request: Request, next: Next) -> Response {
    if login.admits(request.headers().get(header::AUTHORIZATION)) {
        return next.run(request).await;
    }
    let mut answer = RegistryError::NotLoggedIn.into_response();
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"schema registry\""));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_let_in() {
        let login = Login::new("ada", "hunter2");
        let header = |text: &str| HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).unwrap();
        assert!(login.admits(Some(&header("ada:hunter2"))));
        assert!(!login.admits(Some(&header("ada:hunter3"))));
        assert!(!login.admits(None));
    }
}
