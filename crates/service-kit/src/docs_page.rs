//! `/docs`: the description of the API for people, without anything from the internet. It shows `/openapi.json` of the
//! same service, and sends no requests to the API: who would paste a key into a page?

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::problem::Problem;

/// What the page is made of; the bundle has more files than it needs.
const FILES: [&str; 7] = [
    "index.css",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];
const INDEX: &str = "index.html";

/// Behind the page's own style sheet: nobody is asked for a key that no request would carry.
const STYLE_SHEET: &str = "index.css";
const NO_KEYS: &str = ".swagger-ui .scheme-container, .swagger-ui .authorization__btn { display: none; }\n";

/// The page's own policy: nothing of other origins, no frame around it. Swagger UI has its icons as `data:` addresses.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The same for all callers, and another only with another release.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const HEADERS: [(HeaderName, HeaderValue); 2] =
    [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, CACHING)];

type Page = Arc<Config<'static>>;

/// The routes of the page; they need no key.
pub fn routes() -> Router {
    let no_methods: [&str; 0] = [];
    let page = Config::from("/openapi.json")
        .use_base_layout()
        .supported_submit_methods(no_methods)
        .validator_url("none")
        .deep_linking(true);
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(index))
        .route("/docs/{file}", get(file))
        .method_not_allowed_fallback(async || Problem::method_not_allowed("use GET"))
        .with_state(Arc::new(page))
}

async fn index(State(page): State<Page>) -> Response {
    show(INDEX, page)
}

async fn file(State(page): State<Page>, Path(file): Path<String>) -> Response {
    if FILES.contains(&file.as_str()) {
        show(&file, page)
    } else {
        Problem::not_found("the page is /docs/").into_response()
    }
}

fn show(file: &str, page: Page) -> Response {
    match utoipa_swagger_ui::serve(file, page) {
        Ok(Some(found)) => {
            let mut bytes = found.bytes.into_owned();
            if file == STYLE_SHEET {
                bytes.extend_from_slice(NO_KEYS.as_bytes());
            }
            (HEADERS, [(header::CONTENT_TYPE, found.content_type)], bytes).into_response()
        }
        Ok(None) => Problem::not_found("the page is /docs/").into_response(),
        Err(error) => {
            tracing::error!(%error, file, "a part of the page cannot be shown");
            Problem::internal().into_response()
        }
    }
}

#[cfg(test)]
#[path = "docs_page_tests.rs"]
mod tests;
