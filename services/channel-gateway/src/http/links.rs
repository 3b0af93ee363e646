//! Short links: a person goes on to where the link leads, and is counted.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use uuid::Uuid;

use super::is_code;
use crate::app::{App, short_links};
use crate::domain::links::is_previewer;

/// The cookie by which a person is known again, here and nowhere else.
const VISITOR: &str = "sb_visitor";

/// How long it lasts, in seconds: a year.
const VISITOR_FOR: u32 = 365 * 24 * 60 * 60;

/// Returns the routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/l/{code}", get(follow))
        .with_state(app)
}

async fn follow(
    State(app): State<App>,
    Path(code): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let now = chassis::clock::now();
    let found = if is_code(&code) {
        short_links::find(&app, &code).await
    } else {
        Ok(None)
    };
    let link = match found {
        Ok(Some(link)) => link,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(_) => {
            let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            set(&mut response, RETRY_AFTER, "5");
            return response;
        }
    };
    let mut response = StatusCode::FOUND.into_response();
    set(&mut response, LOCATION, &link.url);
    set(&mut response, CACHE_CONTROL, "no-store");
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    if method == Method::HEAD || is_previewer(agent.unwrap_or_default()) {
        return response;
    }
    let known = visitor(&headers);
    let visitor = known.unwrap_or_else(|| chassis::id::v7(now));
    if known.is_none() {
        let secure = if app.public_url.starts_with("https:") {
            "; Secure"
        } else {
            ""
        };
        let cookie = format!(
            "{VISITOR}={visitor}; Path=/l/; Max-Age={VISITOR_FOR}; HttpOnly; SameSite=Lax{secure}"
        );
        set(&mut response, SET_COOKIE, &cookie);
    }
    // Who follows a link is not held up by our counting.
    if let Err(error) = short_links::clicked(&app, &link, visitor, now).await {
        tracing::warn!(%error, "a click could not be counted");
    }
    response
}

fn visitor(headers: &HeaderMap) -> Option<Uuid> {
    let cookies = headers.get_all(COOKIE).iter();
    cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(VISITOR)?.strip_prefix('='))
        .and_then(|id| Uuid::parse_str(id).ok())
}

fn set(response: &mut Response, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
