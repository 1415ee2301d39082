use std::collections::VecDeque;

use azure_core::Error;
use azure_core::credentials::{AccessToken, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::time::OffsetDateTime;
use futures::future::join_all;
use keyrelay_model::Retryability;
use tokio::time::{advance, sleep};

use super::*;

const ARM: &str = "https://management.azure.com";

/// The behaviour of the source for one request. The last of a script is repeated.
#[derive(Debug, Clone, Copy)]
enum Play {
    /// After a second, returns a token with this lifetime in seconds.
    Token(i64),
    Fail(fn() -> ErrorKind),
    Hang,
}

/// Returns `token-1`, `token-2`, ... and records the requested scopes.
#[derive(Debug)]
struct Script {
    plays: Mutex<VecDeque<Play>>,
    requested: Mutex<Vec<String>>,
}

impl Script {
    fn of(plays: &[Play]) -> (Arc<Self>, Credential) {
        let script = Arc::new(Self {
            plays: Mutex::new(plays.iter().copied().collect()),
            requested: Mutex::default(),
        });
        (script.clone(), Credential::from_source(script))
    }

    fn requests(&self) -> usize {
        self.requested.lock().unwrap().len()
    }
}

#[async_trait::async_trait]
impl TokenCredential for Script {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let number = {
            let mut requested = self.requested.lock().unwrap();
            requested.push(scopes.join(" "));
            requested.len()
        };
        let play = {
            let mut plays = self.plays.lock().unwrap();
            if plays.len() > 1 {
                plays.pop_front()
            } else {
                plays.front().copied()
            }
        };
        match play.unwrap() {
            Play::Token(seconds) => {
                sleep(Duration::from_secs(1)).await;
                let expires_on =
                    OffsetDateTime::now_utc() + azure_core::time::Duration::seconds(seconds);
                Ok(AccessToken::new(format!("token-{number}"), expires_on))
            }
            Play::Fail(kind) => Err(Error::with_message(kind(), "the endpoint says no")),
            Play::Hang => std::future::pending().await,
        }
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(25))
}

async fn token(credential: &Credential) -> Result<String, TokenError> {
    credential
        .token(ARM, soon())
        .await
        .map(|token| token.expose().to_owned())
}

#[track_caller]
fn check(got: Result<String, TokenError>, expected: &str) {
    assert_eq!(got.as_deref(), Ok(expected));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_make_one_request() {
    let (script, credential) = Script::of(&[Play::Token(3600)]);
    for token in join_all((0..200).map(|_| token(&credential))).await {
        check(token, "token-1");
    }
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_share_one_failure() {
    let (script, credential) = Script::of(&[Play::Hang]);
    for token in join_all((0..200).map(|_| token(&credential))).await {
        assert_eq!(token.unwrap_err().retryability(), Retryability::Transient);
    }
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_five_minutes_before_its_end() {
    let (script, credential) = Script::of(&[Play::Token(3600)]);
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(3290)).await;
    check(token(&credential).await, "token-1");
    assert_eq!(script.requests(), 1);
    advance(Duration::from_secs(15)).await;
    check(token(&credential).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_for_a_minute_is_renewed_half_way() {
    let (_, credential) = Script::of(&[Play::Token(60)]);
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(25)).await;
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(10)).await;
    check(token(&credential).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_used_after_a_failed_renewal() {
    let (script, credential) = Script::of(&[
        Play::Token(3600),
        Play::Fail(|| ErrorKind::Io),
        Play::Token(3600),
    ]);
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(3400)).await;
    check(token(&credential).await, "token-1");
    check(token(&credential).await, "token-1");
    assert_eq!(
        script.requests(),
        2,
        "a failed renewal is not retried for a while"
    );
    advance(RENEWAL_PAUSE + Duration::from_secs(1)).await;
    check(token(&credential).await, "token-3");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_not_waited_for_while_the_token_is_valid() {
    let (_, credential) = Script::of(&[Play::Token(3600), Play::Hang]);
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(3400)).await;
    let started = Instant::now();
    check(token(&credential).await, "token-1");
    assert!(started.elapsed() <= RENEWAL_LIMIT + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn other_callers_use_the_valid_token_during_a_renewal() {
    let (script, credential) = Script::of(&[Play::Token(3600)]);
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(3400)).await;
    let tokens = join_all((0..10).map(|_| token(&credential))).await;
    check(tokens[0].clone(), "token-2");
    for token in &tokens[1..] {
        check(token.clone(), "token-1");
    }
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_not_used() {
    let (_, credential) = Script::of(&[Play::Token(3600), Play::Fail(|| ErrorKind::Credential)]);
    check(token(&credential).await, "token-1");
    advance(Duration::from_secs(3601)).await;
    let error = token(&credential).await.unwrap_err();
    assert_eq!(error.retryability(), Retryability::Permanent);
    assert_eq!(
        error.to_string(),
        format!("no token for {ARM}: the endpoint says no")
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_replaced_once() {
    let (script, credential) = Script::of(&[Play::Token(3600)]);
    let rejected = credential.token(ARM, soon()).await.unwrap();
    credential.rejected(ARM, &rejected);
    let tokens = join_all((0..100).map(|_| async {
        let token = token(&credential).await;
        // Another caller's late rejection of the old token.
        credential.rejected(ARM, &rejected);
        token
    }));
    for token in tokens.await {
        check(token, "token-2");
    }
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_past_its_deadline() {
    let (_, credential) = Script::of(&[Play::Hang]);
    let started = Instant::now();
    let wait = |seconds| credential.token(ARM, Deadline::after(Duration::from_secs(seconds)));
    let (first, second) = tokio::join!(wait(4), wait(2));
    assert!(first.is_err() && second.is_err());
    assert!(started.elapsed() <= Duration::from_millis(4010));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_cached() {
    let (_, credential) = Script::of(&[Play::Fail(|| ErrorKind::Io), Play::Token(3600)]);
    assert_eq!(
        token(&credential).await.unwrap_err().retryability(),
        Retryability::Transient
    );
    check(token(&credential).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn each_audience_has_its_own_token() {
    let (script, credential) = Script::of(&[Play::Token(3600)]);
    check(token(&credential).await, "token-1");
    let other = credential
        .token("https://vault.azure.net/", soon())
        .await
        .unwrap();
    assert_eq!(other.expose(), "token-2");
    let scopes = [
        "https://management.azure.com/.default",
        "https://vault.azure.net/.default",
    ];
    assert_eq!(*script.requested.lock().unwrap(), scopes);
}

#[tokio::test(start_paused = true)]
async fn a_token_does_not_print_itself() {
    let (_, credential) = Script::of(&[Play::Token(3600)]);
    check(token(&credential).await, "token-1");
    assert_eq!(
        format!("{credential:?}"),
        "Credential { source: Custom, .. }"
    );
}
