//! Short links: a person goes on to where the link leads, and is counted.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::is_code;
use crate::app::{App, short_links};
use crate::domain::links::is_previewer;
use crate::domain::visitors::place;
use crate::figures;

/// The cookie by which a person is known again, here and nowhere else.
const VISITOR: &str = "sb_visitor";

/// How long it lasts, in seconds: a year.
const VISITOR_FOR: u32 = 365 * 24 * 60 * 60;

/// New visitors of one link from one address that are persons at once; then one a minute. A link goes to one client: more
/// of them are somebody who sends no cookie, or one made up each time. They are led on, and only counted as visits.
const NEW_AT_ONCE: NonZeroU32 = match NonZeroU32::new(10) {
    Some(ten) => ten,
    None => NonZeroU32::MIN,
};
const NEW_A_MINUTE: NonZeroU32 = NonZeroU32::MIN;

/// Links and addresses that are remembered at most; a new one beyond them is no person.
const PLACES_MAX: usize = 100_000;

/// What the routes work with.
pub struct Door {
    app: App,
    /// The field in which the proxy before us tells from where it is called.
    address_field: Option<HeaderName>,
    new: DefaultKeyedRateLimiter<(String, IpAddr)>,
}

impl Door {
    /// Makes the handlers' state; the field may be empty.
    pub fn new(app: App, address_field: &str) -> Self {
        Self {
            app,
            address_field: HeaderName::from_bytes(address_field.as_bytes()).ok(),
            new: RateLimiter::keyed(Quota::per_minute(NEW_A_MINUTE).allow_burst(NEW_AT_ONCE)),
        }
    }

    /// Forgets addresses from which nobody new came lately.
    pub fn forget_quiet(&self) {
        self.new.retain_recent();
        self.new.shrink_to_fit();
    }

    /// Tells whether a new visitor of a link may be another person.
    fn admit(&self, code: &str, place: IpAddr) -> bool {
        let admitted =
            self.new.len() < PLACES_MAX && self.new.check_key(&(code.to_owned(), place)).is_ok();
        if !admitted {
            figures::VISITORS_REFUSED.increment(1);
        }
        admitted
    }

    fn place(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let field = self.address_field.as_ref();
        let told = field.and_then(|field| request.headers().get_all(field).iter().next_back());
        place(
            peer.map(|ConnectInfo(peer)| peer.ip()),
            told.and_then(|told| told.to_str().ok()),
        )
    }
}

/// Returns the routes.
pub fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/l/{code}", get(follow))
        .with_state(door)
}

async fn follow(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    request: Request,
) -> Response {
    let app = &door.app;
    let now = chassis::clock::now();
    let found = if is_code(&code) {
        short_links::find(app, &code).await
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
    let headers = request.headers();
    let agent = headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    if request.method() == Method::HEAD || is_previewer(agent.unwrap_or_default()) {
        return response;
    }
    let known = visitor(headers);
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
    let place = door.place(&request);
    let admit = || door.admit(&link.code, place);
    if let Err(error) = short_links::clicked(app, &link, visitor, admit, now).await {
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
