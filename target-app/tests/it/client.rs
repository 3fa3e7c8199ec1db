//! A small HTTP client that speaks JSON.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::{Value, json};

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    /// The JSON document of the answer.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in `{}`", self.text))
    }

    /// A text in the JSON document, by pointer.
    pub(crate) fn text_at(&self, pointer: &str) -> String {
        let document = self.json();
        let value = document
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {document}"));
        value
            .as_str()
            .unwrap_or_else(|| panic!("no text at {pointer} in {document}"))
            .to_owned()
    }

    /// The answer, which must have this status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

/// One caller with headers it always sends.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: String,
    headers: Vec<(&'static str, String)>,
    pooled: Pooled<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let pooled = Pooled::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build_http();
        Self {
            address: address.to_owned(),
            headers: Vec::new(),
            pooled,
        }
    }

    /// Where it sends to.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same caller at another address.
    pub(crate) fn to(&self, address: &str) -> Self {
        let mut client = self.clone();
        address.clone_into(&mut client.address);
        client
    }

    /// The same caller with one more header.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.to_owned()));
        client
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, String::new()).await.unwrap()
    }

    /// Waits until the role is ready.
    pub(crate) async fn ready(&self) {
        let mut last = String::new();
        let ready = async {
            loop {
                let reply = self.get("/ready").await;
                if reply.status == StatusCode::OK {
                    return;
                }
                last = reply.text;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), ready).await;
        assert!(
            waited.is_ok(),
            "{} did not become ready: {last}",
            self.address
        );
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, String::new())
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, path: &str, document: Value) -> Reply {
        self.send(Method::POST, path, document.to_string())
            .await
            .unwrap()
    }

    /// Sends anything; the error of a connection that broke is for the caller.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        let response = self
            .pooled
            .request(request)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let (parts, body) = response.into_parts();
        let bytes = body
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            text,
        })
    }

    /// The same caller, logged in as one of the demonstration shoppers.
    pub(crate) async fn logged_in(&self, number: u32) -> Self {
        let email = format!("shopper-{number:04}@example.com");
        let reply = self
            .post(
                "/login",
                json!({ "email": email, "password": "correct-horse-battery" }),
            )
            .await;
        let token = reply.expect(200).text_at("/token");
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// A new cart with one product in it.
    pub(crate) async fn cart_with(&self, product: &str, quantity: u32) -> String {
        let cart = self
            .post("/carts", Value::Null)
            .await
            .expect(201)
            .text_at("/id");
        let piece = json!({ "product_id": product, "quantity": quantity });
        self.post(&format!("/carts/{cart}/items"), piece)
            .await
            .expect(200);
        cart
    }

    /// A purchase of that cart under a key.
    pub(crate) async fn check_out(&self, cart: &str, key: &str) -> Reply {
        self.with("idempotency-key", key)
            .post("/checkout", json!({ "cart_id": cart }))
            .await
    }

    /// The value of a line in `/metrics` that begins so, summed over all that do.
    pub(crate) async fn metric(&self, start: &str) -> u64 {
        let text = self.get("/metrics").await.expect(200).text;
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}
