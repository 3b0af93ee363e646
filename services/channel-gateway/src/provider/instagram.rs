//! The Graph API over HTTP. The token stands in a header only: neither an address nor an error holds it.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{Answer, CallError, answer, client};
use crate::config;
use crate::domain::call::Call;
use crate::domain::instagram::errors::ApiError;
use crate::domain::instagram::wire::is_id;
use crate::domain::value::{id, int, list, object, text};

/// How an account is connected (channels.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// By Instagram's own log-in.
    Instagram,
    /// By the Facebook page that it is linked to.
    Page,
}

/// The webhook fields that an account is subscribed to: one unknown name would have the whole list refused.
pub const INSTAGRAM_FIELDS: &str = "messages,message_echoes,message_reactions,message_edit,messaging_postbacks,\
                                    messaging_referral,messaging_seen,comments,live_comments";

/// The same in the words for pages: comments come with any of them, echoes with the messages.
pub const PAGE_FIELDS: &str = "messages,message_reactions,message_edits,message_echoes,messaging_postbacks,\
                               messaging_referrals,message_reads";

impl Login {
    /// Returns the fields that an account is subscribed to, in its own words.
    pub const fn fields(self) -> &'static str {
        match self {
            Self::Instagram => INSTAGRAM_FIELDS,
            Self::Page => PAGE_FIELDS,
        }
    }
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Id of the Instagram account, as webhooks name it.
    pub account: String,
    /// Its nick.
    pub username: String,
    /// What is subscribed to webhooks: the account, or its page.
    pub node: String,
}

/// A token in place of an older one.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The token.
    pub token: SecretString,
    /// How long it lasts.
    pub lasts: Duration,
}

/// A customer, as far as Instagram tells it after they wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Name to show.
    pub name: String,
    /// Nick.
    pub username: String,
    /// Address of the picture: signed, it goes nowhere.
    pub picture: String,
}

/// A post.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// The page of the post, which lasts (F090).
    pub permalink: String,
    /// Its words.
    pub caption: String,
    /// `FEED`, `REELS`, `STORY` or `AD`.
    pub product: String,
}

/// A comment as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommentNow {
    /// Its words.
    pub text: String,
    /// Who wrote it; empty where Instagram does not tell.
    pub from: String,
    /// Nick of who wrote it.
    pub username: String,
    /// The comment that it answers.
    pub parent: Option<String>,
    /// The post.
    pub media: String,
    /// Somebody has hidden it.
    pub hidden: bool,
}

type Refused<T> = Result<T, CallError<ApiError>>;

/// The Graph API. Clones share connections.
#[derive(Clone)]
pub struct GraphApi {
    http: reqwest::Client,
    instagram: String,
    facebook: String,
    version: String,
    call_timeout: Duration,
}

impl GraphApi {
    /// Makes a client for the configured servers.
    pub fn new(config: &config::Instagram) -> anyhow::Result<Self> {
        let base = |name: &str, url: &str| {
            let url = url.trim_end_matches('/').to_owned();
            anyhow::ensure!(
                url.starts_with("https://") || url.starts_with("http://"),
                "instagram.{name}: must be an http(s) address"
            );
            Ok(url)
        };
        let version = config.version.trim_matches('/').to_owned();
        anyhow::ensure!(
            version.starts_with('v')
                && version
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.'),
            "instagram.version: must be a version, as v25.0"
        );
        Ok(Self {
            http: client(config.connect_timeout, config.call_timeout)?,
            instagram: base("instagram_url", &config.instagram_url)?,
            facebook: base("facebook_url", &config.facebook_url)?,
            version,
            call_timeout: config.call_timeout,
        })
    }

    /// Returns how long a call takes at most.
    pub fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Returns whose token it is: the cheapest way to learn that it lives.
    pub async fn me(&self, login: Login, token: &SecretString) -> Refused<Me> {
        let fields = match login {
            Login::Instagram => "user_id,username",
            Login::Page => "id,instagram_business_account%7Bid,username%7D",
        };
        let mut me = self
            .get(login, token, &format!("me?fields={fields}"))
            .await?;
        // The documentation shows it in a list, too.
        if let Some(first) = me.get_mut("data").and_then(|data| data.get_mut(0)) {
            me = first.take();
        }
        let (holder, name) = match login {
            Login::Instagram => (Some(&me), "user_id"),
            Login::Page => (object(&me, "instagram_business_account"), "id"),
        };
        let account = holder
            .and_then(|holder| id(holder, name))
            .filter(|id| is_id(id));
        let (Some(holder), Some(account)) = (holder, account) else {
            return Err(CallError::Unknown(
                "The token is of no professional Instagram account.".to_owned(),
            ));
        };
        let page = id(&me, "id").filter(|id| login == Login::Page && is_id(id));
        Ok(Me {
            username: text(holder, "username").unwrap_or_default(),
            node: page.unwrap_or_else(|| account.clone()),
            account,
        })
    }

    /// Subscribes the app to what happens on an account; what was subscribed before is replaced.
    pub async fn subscribe(&self, login: Login, token: &SecretString, node: &str) -> Refused<()> {
        let fields = login.fields();
        let path = format!("{}/subscribed_apps?subscribed_fields={fields}", path(node)?);
        self.send(login, token, Method::POST, &path, None)
            .await
            .map(drop)
    }

    /// Takes the subscription back.
    pub async fn unsubscribe(&self, login: Login, token: &SecretString, node: &str) -> Refused<()> {
        let path = format!("{}/subscribed_apps", path(node)?);
        self.send(login, token, Method::DELETE, &path, None)
            .await
            .map(drop)
    }

    /// Returns the fields that are subscribed; none after Meta dropped the subscription, as it does after an outage.
    pub async fn subscribed(
        &self,
        login: Login,
        token: &SecretString,
        node: &str,
    ) -> Refused<Vec<String>> {
        let path = format!("{}/subscribed_apps", path(node)?);
        let apps = self.get(login, token, &path).await?;
        let fields = list(&apps, "data")
            .iter()
            .flat_map(|app| list(app, "subscribed_fields"));
        // Pages name each field with its version.
        let named = fields.filter_map(|field| match field {
            Value::String(name) => Some(name.clone()),
            field => text(field, "name"),
        });
        Ok(named.collect())
    }

    /// Returns a token that lasts anew, for one that is at least a day old and lives. Tokens of pages have no term.
    pub async fn refresh(&self, token: &SecretString) -> Refused<Refreshed> {
        let url = format!(
            "{}/refresh_access_token?grant_type=ig_refresh_token",
            self.instagram
        );
        let request = self.http.get(url).bearer_auth(token.expose_secret());
        let body = read(request).await?;
        let lasts = int(&body, "expires_in").and_then(|seconds| u64::try_from(seconds).ok());
        match (text(&body, "access_token"), lasts) {
            (Some(token), Some(lasts)) if !token.is_empty() => Ok(Refreshed {
                token: token.into(),
                lasts: Duration::from_secs(lasts),
            }),
            _ => Err(unreadable()),
        }
    }

    /// Returns a customer's name and picture, once they wrote: `GET /{igsid}?fields=name,username,profile_pic` (channels.md
    /// §4.2). The picture's address is signed anew at each answer and expires in days; it is left out where there is none. An
    /// error is no reason to keep a message back.
    pub async fn profile(
        &self,
        login: Login,
        token: &SecretString,
        client: &str,
    ) -> Refused<Profile> {
        let path = format!("{}?fields=name,username,profile_pic", path(client)?);
        let profile = self.get(login, token, &path).await?;
        Ok(Profile {
            name: text(&profile, "name").unwrap_or_default(),
            username: text(&profile, "username").unwrap_or_default(),
            picture: text(&profile, "profile_pic").unwrap_or_default(),
        })
    }

    /// Returns a post's page and words.
    pub async fn media(&self, login: Login, token: &SecretString, media: &str) -> Refused<Media> {
        let path = format!(
            "{}?fields=permalink,caption,media_product_type",
            path(media)?
        );
        let media = self.get(login, token, &path).await?;
        Ok(Media {
            permalink: text(&media, "permalink").unwrap_or_default(),
            caption: text(&media, "caption").unwrap_or_default(),
            product: text(&media, "media_product_type").unwrap_or_default(),
        })
    }

    /// Returns a comment as it is now: no event tells that it was edited or deleted.
    pub async fn comment(
        &self,
        login: Login,
        token: &SecretString,
        comment: &str,
    ) -> Refused<CommentNow> {
        let fields = "id,text,timestamp,from,username,parent_id,hidden,media";
        let path = format!("{}?fields={fields}", path(comment)?);
        let comment = self.get(login, token, &path).await?;
        let from = object(&comment, "from").unwrap_or(&Value::Null);
        let media = object(&comment, "media").unwrap_or(&Value::Null);
        Ok(CommentNow {
            text: text(&comment, "text").unwrap_or_default(),
            from: id(from, "id").unwrap_or_default(),
            username: text(from, "username")
                .or_else(|| text(&comment, "username"))
                .unwrap_or_default(),
            parent: id(&comment, "parent_id"),
            media: id(media, "id").unwrap_or_default(),
            hidden: comment.get("hidden") == Some(&Value::Bool(true)),
        })
    }

    /// Makes a call that was planned, with this body, and returns what it is answered.
    pub async fn call(
        &self,
        login: Login,
        token: &SecretString,
        call: &Call,
        body: &Value,
    ) -> Refused<Value> {
        let (method, path) = match call.method.split_once(" /") {
            Some(("POST", path)) => (Method::POST, path),
            Some(("DELETE", path)) => (Method::DELETE, path),
            _ => return Err(no_such("call")),
        };
        self.send(login, token, method, path, Some(body)).await
    }

    async fn get(&self, login: Login, token: &SecretString, path: &str) -> Refused<Value> {
        self.send(login, token, Method::GET, path, None).await
    }

    async fn send(
        &self,
        login: Login,
        token: &SecretString,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Refused<Value> {
        let host = match login {
            Login::Instagram => &self.instagram,
            Login::Page => &self.facebook,
        };
        let url = format!("{host}/{}/{path}", self.version);
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request).await
    }
}

async fn read(request: reqwest::RequestBuilder) -> Refused<Value> {
    let Answer {
        status,
        retry_after,
        body,
    } = answer("Instagram", request).await?;
    let done = (200..300).contains(&status);
    match body {
        Some(body) if body.get("error").is_some() || body.get("error_type").is_some() => Err(
            CallError::Refused(ApiError::read(status, &body, retry_after)),
        ),
        Some(body) if done => Ok(body),
        None if done => Err(unreadable()),
        _ => Err(CallError::Refused(ApiError::between(status, retry_after))),
    }
}

fn unreadable() -> CallError<ApiError> {
    CallError::Unknown("Instagram's answer could not be read.".to_owned())
}

/// Returns an id that may stand in a path.
fn path(id: &str) -> Refused<&str> {
    if is_id(id) {
        Ok(id)
    } else {
        Err(no_such("id"))
    }
}

fn no_such(what: &str) -> CallError<ApiError> {
    CallError::Refused(ApiError {
        status: 400,
        code: Some(100),
        message: format!("There is no such {what}; nothing was called."),
        ..ApiError::default()
    })
}
