//! Waiting for a condition, with a deadline and a pause that grows.

use std::time::Duration;

use tonic::Code;

use crate::error::CliError;

const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What one look found.
pub(crate) enum Seen<T> {
    /// It is so.
    Yes(T),
    /// Not yet: what is there instead.
    NotYet(String),
}

/// Looks until it is so. On the deadline the error says what was expected and what was seen last. A service that is
/// away or does not know the thing yet is looked at again; any other refusal ends the waiting.
pub(crate) async fn until<T>(
    expected: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Seen<T>, CliError>,
) -> Result<T, CliError> {
    let deadline = tokio::time::Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let seen = match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(Seen::Yes(found))) => return Ok(found),
            Ok(Ok(Seen::NotYet(seen))) => seen,
            Ok(Err(error)) if is_passing(&error) => error.to_string(),
            Ok(Err(error)) => {
                return Err(unexpected(expected, &error.render().replace("error: ", "")));
            }
            Err(_) => "no answer in time".into(),
        };
        if tokio::time::Instant::now() + pause > deadline {
            return Err(unexpected(
                expected,
                &format!("{seen} (after {} s)", patience.as_secs()),
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// The error of a step that did not go as it should.
pub(crate) fn unexpected(expected: &str, seen: &str) -> CliError {
    CliError::failed(format!("expected: {expected}\n  seen:     {seen}"), "")
}

/// Fails unless it holds.
pub(crate) fn check(
    holds: bool,
    expected: &str,
    seen: impl FnOnce() -> String,
) -> Result<(), CliError> {
    if holds {
        Ok(())
    } else {
        Err(unexpected(expected, &seen()))
    }
}

fn is_passing(error: &CliError) -> bool {
    matches!(
        error.code(),
        Some(Code::NotFound | Code::Unavailable | Code::DeadlineExceeded | Code::Aborted)
    )
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_found_and_what_never_comes_is_told() {
        let mut looks = 0;
        let found = until("three looks", Duration::from_secs(5), async || {
            looks += 1;
            match looks {
                1 => Err(Status::not_found("not there").into()),
                2 => Ok(Seen::NotYet("two".into())),
                _ => Ok(Seen::Yes(looks)),
            }
        });
        assert_eq!(found.await.unwrap(), 3);

        let never = until::<()>("a card", Duration::from_secs(5), async || {
            Ok(Seen::NotYet("no card".into()))
        })
        .await;
        let text = never.unwrap_err().render();
        assert!(
            text.contains("expected: a card") && text.contains("seen:     no card (after 5 s)"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_waited_out() {
        let started = tokio::time::Instant::now();
        let refused = until::<()>("a card", Duration::from_mins(1), async || {
            Err(Status::permission_denied("not yours").into())
        })
        .await;
        assert!(refused.unwrap_err().render().contains("not yours"));
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
