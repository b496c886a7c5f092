use super::fault;
use crate::config::HttpConfig;
use crate::http::testing::{ask, config, start};

const ORIGIN: &str = "https://console.example.org";
const PREFLIGHT: &str = "OPTIONS /length HTTP/1.1\r\nhost: t\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type\r\n";

fn listed() -> HttpConfig {
    HttpConfig { cors_origins: vec!["http://127.0.0.1:3000".to_owned(), ORIGIN.to_owned()], ..config() }
}

async fn head(config: HttpConfig, request: &str, origin: &str) -> String {
    let running = start(config).await;
    let mut stream = running.connect().await;
    ask(&mut stream, &format!("{request}origin: {origin}\r\n\r\n")).await.0
}

#[tokio::test]
async fn a_listed_origin_is_told_so() {
    let head = head(listed(), "GET / HTTP/1.1\r\nhost: t\r\n", ORIGIN).await;
    assert!(head.contains(&format!("access-control-allow-origin: {ORIGIN}\r\n")), "{head}");
    assert!(
        head.contains(
            "access-control-expose-headers: ratelimit,ratelimit-policy,retry-after,x-correlation-id"
        )
    );
    assert!(head.contains("vary: origin"), "{head}");
    assert!(!head.contains("access-control-allow-credentials"), "{head}");
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_key() {
    let head = head(listed(), PREFLIGHT, ORIGIN).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for line in [
        "access-control-allow-origin: https://console.example.org\r\n",
        "access-control-allow-methods: get,head,post,put,delete\r\n",
        "authorization,content-type,content-encoding,idempotency-key,sealtrail-tenant,x-correlation-id,traceparent",
        "access-control-max-age: 600\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
}

#[tokio::test]
async fn another_origin_is_not_allowed() {
    for other in ["https://evil.example", "https://console.example.org.evil.example", "null"] {
        for request in ["GET / HTTP/1.1\r\nhost: t\r\n", PREFLIGHT] {
            let head = head(listed(), request, other).await;
            assert!(!head.contains("access-control-allow-origin"), "{other}: {head}");
        }
    }
}

#[tokio::test]
async fn without_a_list_no_answer_has_a_header_of_cors() {
    for request in ["GET / HTTP/1.1\r\nhost: t\r\n", PREFLIGHT] {
        let head = head(config(), request, ORIGIN).await;
        assert!(!head.contains("access-control") && !head.contains("vary"), "{head}");
    }
}

#[test]
fn an_origin_is_named_as_browsers_do() {
    let said = |origin: &str| fault(&[ORIGIN.to_owned(), origin.to_owned()]);
    for good in ["https://a.example", "http://localhost:3000", "http://[::1]:8080", "https://a.example:8443"]
    {
        assert_eq!(said(good), None);
    }
    for (bad, word) in [
        ("*", "name each origin"),
        ("https://*.example.org", "name each origin"),
        ("null", "name each origin"),
        ("https://a.example/", "is written as"),
        ("https://a.example/path", "is written as"),
        ("a.example", "is written as"),
        ("ftp://a.example", "is written as"),
        ("https://me@a.example", "is written as"),
        ("", "is written as"),
        ("https://A.example", "lower case"),
        ("https://a.example:443", "the port"),
    ] {
        let said = said(bad).unwrap_or_default();
        assert!(said.contains("http.cors_origins") && said.contains(word), "{bad}: {said}");
    }
}
