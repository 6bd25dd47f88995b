//! Which path leads where.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::routing::{MethodRouter, get, post};

use super::app::App;
use super::problem::{Kind, Problem};
use super::{lifecycle, openapi, ownerships, states};

type Route = (&'static str, MethodRouter<Arc<App>>);

/// Every path, as the document has them.
fn routes() -> [Route; 9] {
    [
        ("/v1/message-state", get(states::get).put(states::put)),
        ("/v1/message-states", get(states::list)),
        ("/v1/thread-ownership", get(ownerships::get).put(ownerships::put)),
        ("/v1/thread-ownerships", get(ownerships::list)),
        ("/v1/thread-ownerships/cleanup", post(ownerships::cleanup)),
        ("/v1/health", get(lifecycle::health)),
        ("/v1/initialize", post(lifecycle::initialize)),
        (lifecycle::CLOSE, post(lifecycle::close)),
        ("/v1/openapi.json", get(openapi::get)),
    ]
}

/// Whether a path is one of them.
pub fn is_route(path: &str) -> bool {
    static PATHS: LazyLock<Vec<&str>> = LazyLock::new(|| routes().into_iter().map(|route| route.0).collect());
    PATHS.contains(&path)
}

/// The operations.
pub fn router(app: Arc<App>) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(path, route));
    let not_found = || async { Problem::new(Kind::NotFound, "there is no such path; /v1/openapi.json lists them all") };
    let not_allowed =
        || async { Problem::new(Kind::MethodNotAllowed, "the header Allow lists the methods of this path") };
    router.fallback(not_found).method_not_allowed_fallback(not_allowed).with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_is_in_the_document() {
        let paths: BTreeSet<_> = routes().into_iter().map(|route| route.0.to_owned()).collect();
        assert_eq!(paths, openapi::document().paths.paths.into_keys().collect());
    }
}
