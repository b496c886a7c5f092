use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use tower::ServiceExt;

use super::*;
use crate::http::testing::{ask, config, start};

async fn get_text(path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = routes().oneshot(request).await.expect("infallible");
    let (status, body) = (answer.status(), answer.into_body());
    let bytes = to_bytes(body, 8 * 1024 * 1024).await.expect("a body");
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn the_page_has_all_of_its_parts_and_shows_this_services_description() {
    let (status, index) = get_text("/docs/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!index.contains("http://") && !index.contains("https://"), "{index}");
    for part in index.split(['"']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
        let (status, _) = get_text(&format!("/docs/{}", part.trim_start_matches("./"))).await;
        assert_eq!(status, StatusCode::OK, "{part}");
    }
    for file in FILES {
        assert_eq!(get_text(&format!("/docs/{file}")).await.0, StatusCode::OK, "{file}");
    }
    let (_, initializer) = get_text("/docs/swagger-initializer.js").await;
    assert!(initializer.contains("\"url\": \"/openapi.json\""), "{initializer}");
    assert!(initializer.contains("\"supportedSubmitMethods\": []"), "{initializer}");
    assert!(!initializer.contains("petstore"), "{initializer}");
    assert!(get_text("/docs/index.css").await.1.contains(NO_KEYS));
}

#[tokio::test]
async fn nothing_else_of_the_bundle_is_there() {
    for path in ["/docs/oauth2-redirect.html", "/docs/swagger-ui-bundle.js.map", "/docs/..%2fx", "/docs/a/b"]
    {
        assert_eq!(get_text(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let request = Request::builder().method(method).uri("/docs/").body(Body::empty()).expect("a request");
        let answer = routes().oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn the_page_has_a_policy_of_its_own_and_all_else_the_strict_one() {
    let running = start(config()).await;
    let mut stream = running.connect().await;
    for path in ["/docs/", "/docs/swagger-ui.css"] {
        let (head, _) = ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        let policies: Vec<_> =
            head.lines().filter_map(|line| line.strip_prefix("content-security-policy: ")).collect();
        assert_eq!(policies.len(), 1, "{head}");
        assert!(policies[0].contains("script-src 'self';") && policies[0].starts_with("default-src 'none'"));
        assert!(!policies[0].contains("http") && !policies[0].contains("unsafe"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }
    for path in ["/", "/docs", "/docs/nowhere"] {
        let (head, _) = ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        let strict = "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n";
        assert!(head.contains(strict), "{path}: {head}");
    }
}
