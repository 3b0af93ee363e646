//! S3, or a server that speaks it.

use std::time::Duration;

use anyhow::Context as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use super::StoreError;
use crate::config;

/// How long the store is asked again, where it does not answer well.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// What machines' roles are asked by, where no keys are given.
const ROLE: [&str; 2] = ["/latest/api/token", "/latest/meta-data/"];

/// Opens a bucket. `variables` are those of the environment: it names the keys.
pub(super) fn open(
    config: &config::Files,
    variables: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in variables {
        if name.starts_with("AWS_")
            && let Ok(key) = name.to_ascii_lowercase().parse()
        {
            builder = builder.with_config(key, value);
        }
    }
    // One clock runs over a whole answer, and a file is read as slowly as its reader takes it: that the store stands
    // still is another matter.
    for (key, span) in [
        (ClientConfigKey::Timeout, config.total),
        (ClientConfigKey::ReadTimeout, config.idle),
    ] {
        let span = format!("{}ms", span.as_millis());
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), span);
    }
    builder = builder
        .with_bucket_name(&config.bucket)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 3,
            retry_timeout: RETRY_FOR,
        });
    if !config.region.is_empty() {
        builder = builder.with_region(&config.region);
    }
    if !config.endpoint.is_empty() {
        builder = builder
            .with_endpoint(&config.endpoint)
            .with_allow_http(config.endpoint.starts_with("http://"));
    }
    builder.build().context("files.store = \"s3\"")
}

/// Tells whether the bucket itself is missing: then nothing is known of the object.
pub(super) fn is_without_bucket(error: &object_store::Error) -> bool {
    code(&error.to_string()) == "NoSuchBucket"
}

/// Says what must be changed for the bucket to be used; none where it may only be away.
pub(super) fn unusable(config: &config::Files, error: &StoreError) -> Option<String> {
    let said = error.to_string();
    let (code, bucket) = (code(&said), config.bucket.as_str());
    let at = if config.endpoint.is_empty() {
        "Amazon"
    } else {
        config.endpoint.as_str()
    };
    let keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let what = match code {
        "NoSuchBucket" => format!(
            "files.bucket: {at} has no bucket {bucket:?}: make it, or correct files.bucket, files.region and files.endpoint"
        ),
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "ExpiredToken"
        | "TokenRefreshRequired" => format!(
            "files.store = \"s3\": {at} does not accept the keys ({code}): correct {keys} in the environment, or what \
             the machine's role gives"
        ),
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => format!(
            "files.region: the bucket {bucket:?} is in another region than {:?} ({code}): correct it",
            config.region
        ),
        "RequestTimeTooSkewed" => {
            format!(
                "files.store = \"s3\": the clocks of this machine and of {at} differ: set this one"
            )
        }
        _ => match error {
            StoreError::Missing => format!(
                "files.bucket: what was put into {bucket:?} at {at} is not there: correct files.bucket and files.endpoint"
            ),
            StoreError::Away(object_store::Error::PermissionDenied { .. }) => format!(
                "files.bucket: {at} does not let these keys use {bucket:?}: grant them s3:PutObject, s3:GetObject, \
                 s3:DeleteObject and s3:AbortMultipartUpload on its objects"
            ),
            StoreError::Away(object_store::Error::Unauthenticated { .. }) => {
                format!(
                    "files.store = \"s3\": {at} does not accept the keys: correct {keys} in the environment"
                )
            }
            _ if ROLE.iter().any(|asked| said.contains(asked)) => format!(
                "files.store = \"s3\": there are no keys: set {keys} in the environment, or give the machine a role \
                 that may use the bucket"
            ),
            _ if said.contains("redirect without LOCATION") => format!(
                "files.region: the bucket {bucket:?} is in another region than {:?}: correct it",
                config.region
            ),
            _ => return None,
        },
    };
    Some(what)
}

/// The code of a refusal in S3's words; empty where it gave none.
fn code(said: &str) -> &str {
    let after = said.split_once("<Code>").map_or("", |(_, after)| after);
    after.split_once("</Code>").map_or("", |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::config::load_from;
    use std::collections::HashMap;

    fn config() -> config::Files {
        let set = [
            ("SWITCHBOARD_FILES__STORE", "s3"),
            ("SWITCHBOARD_FILES__BUCKET", "shop-files"),
            ("SWITCHBOARD_FILES__REGION", "eu-north-1"),
            ("SWITCHBOARD_FILES__ENDPOINT", "https://s3.example"),
        ];
        let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let set: HashMap<String, String> = set.into();
        let config: config::Config = load_from(config::Config::EMBEDDED, None, set).unwrap();
        config.files
    }

    fn generic(text: &str) -> StoreError {
        StoreError::Away(object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        })
    }

    #[test]
    fn what_is_wrong_with_a_bucket_is_said_by_the_key_to_correct() {
        let coded = |code: &str| generic(&format!("403: <Error><Code>{code}</Code></Error>"));
        let denied = |text: &str| object_store::Error::PermissionDenied {
            path: "probe".to_owned(),
            source: text.into(),
        };
        for (error, expected) in [
            (
                coded("NoSuchBucket"),
                Some("files.bucket: https://s3.example has no bucket \"shop-files\""),
            ),
            (
                coded("InvalidAccessKeyId"),
                Some("(InvalidAccessKeyId): correct AWS_ACCESS_KEY_ID"),
            ),
            (
                coded("SignatureDoesNotMatch"),
                Some("AWS_SECRET_ACCESS_KEY"),
            ),
            (coded("PermanentRedirect"), Some("files.region: ")),
            (coded("RequestTimeTooSkewed"), Some("clocks")),
            (
                StoreError::Away(denied("<Code>AccessDenied</Code>")),
                Some("s3:PutObject"),
            ),
            (StoreError::Away(denied("Forbidden")), Some("s3:PutObject")),
            (StoreError::Missing, Some("files.bucket: ")),
            (
                generic("Received redirect without LOCATION, this"),
                Some("files.region: "),
            ),
            (
                generic("Error performing PUT http://169.254.169.254/latest/api/token in 12s"),
                Some("there are no keys"),
            ),
            (coded("SlowDown"), None),
            (generic("error sending request"), None),
            (generic("<Code>"), None),
        ] {
            let said = unusable(&config(), &error);
            match expected {
                Some(part) => assert!(
                    said.as_deref().is_some_and(|said| said.contains(part)),
                    "{error}: {said:?}"
                ),
                None => assert_eq!(said, None, "{error}"),
            }
        }
    }

    #[test]
    fn a_key_without_its_secret_is_told() {
        let half = [("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned())];
        let error = open(&config(), half).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("files.store") && error.to_lowercase().contains("secret"),
            "{error}"
        );
    }
}
