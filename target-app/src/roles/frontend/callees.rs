//! What the page asks of the other roles, and what a visitor is told when they cannot be had.
//!
//! Invariant: a callee's failure becomes an error that says what cannot be done now, in the visitor's
//! words; what a callee refuses for a reason comes back as that reason.

use ::http::uri::{Authority, PathAndQuery};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::visitor::Caller;
use crate::http::context::{IDEMPOTENCY_KEY, SHOPPER};
use crate::http::error::ApiError;
use crate::upstream::limits::PAGE_CALL;
use crate::upstream::{Call, Connections, Upstream};

/// The roles behind the page.
pub(super) struct Callees {
    users: Upstream,
    catalog: Upstream,
    orders: Upstream,
}

/// Why a callee did not do as asked, though it could be asked.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    pub(super) status: StatusCode,
    pub(super) error: String,
    #[serde(default)]
    pub(super) field: String,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, refusal.error).field(refusal.field)
    }
}

/// An answer, or the callee's reason not to give one.
pub(super) type Said<T> = Result<Result<T, Refusal>, ApiError>;

/// Some products.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    pub(super) items: Vec<Item>,
    /// Whether there is a page after this one.
    #[serde(default)]
    pub(super) more: bool,
}

/// A product as lists show it; prices are hundredths.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) category: String,
    pub(super) price: i64,
}

/// A product with all that is known of it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Product {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) category: String,
    pub(super) description: String,
    pub(super) price: i64,
    pub(super) stock: i64,
}

/// A cart, held by an order if that has an id.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Cart {
    pub(super) items: Vec<Line>,
    pub(super) total: i64,
    pub(super) order_id: Option<String>,
}

/// One product of a cart or order. An order that is not yet priced has no name and no price in it.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) product_id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) unit_price: i64,
    pub(super) quantity: i64,
}

/// An order as it stands.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    #[serde(rename = "order_id")]
    pub(super) id: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) amount: i64,
    pub(super) items: Vec<Line>,
    pub(super) created_at: i64,
}

/// The id of something just made.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    #[serde(alias = "order_id")]
    pub(super) id: String,
}

/// Who somebody is, for so many seconds.
#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) token: String,
    pub(super) expires_in: u64,
}

/// What comes back where only the fact counts.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {}

impl Callees {
    pub(super) fn new([users, catalog, orders]: [Authority; 3], registry: &mut Registry) -> Self {
        let connections = Connections::new(registry);
        Self {
            users: connections.to("users", users, PAGE_CALL),
            catalog: connections.to("catalog", catalog, PAGE_CALL),
            orders: connections.to("orders", orders, PAGE_CALL),
        }
    }

    pub(super) async fn products(&self, caller: &Caller, page: i64, size: i64) -> Said<Listing> {
        let path = format!("/products?page={page}&size={size}");
        let wish = Wish::to(Method::GET, path, "show the products");
        self.ask(&self.catalog, caller, wish).await
    }

    pub(super) async fn search(&self, caller: &Caller, text: &str, size: i64) -> Said<Listing> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", text)
            .append_pair("size", &size.to_string())
            .finish();
        let wish = Wish::to(Method::GET, format!("/products/search?{query}"), "search");
        self.ask(&self.catalog, caller, wish).await
    }

    pub(super) async fn product(&self, caller: &Caller, id: &str) -> Said<Product> {
        let wish = Wish::to(Method::GET, format!("/products/{id}"), "show this product");
        self.ask(&self.catalog, caller, wish).await
    }

    pub(super) async fn cart(&self, caller: &Caller, id: &str) -> Said<Cart> {
        let wish = Wish::to(Method::GET, format!("/carts/{id}"), "show your cart");
        self.ask(&self.orders, caller, wish).await
    }

    pub(super) async fn new_cart(&self, caller: &Caller, key: &str) -> Said<Made> {
        let wish = Wish::to(Method::POST, "/carts".to_owned(), "start a cart for you");
        self.ask(&self.orders, caller, wish.keyed(key)).await
    }

    pub(super) async fn add(
        &self,
        caller: &Caller,
        cart: &str,
        piece: (&str, i64),
        key: &str,
    ) -> Said<Done> {
        let path = format!("/carts/{cart}/items");
        let wish = Wish::to(Method::POST, path, "put this into your cart").keyed(key);
        let body = json!({ "product_id": piece.0, "quantity": piece.1 });
        self.ask(&self.orders, caller, wish.with(body)).await
    }

    pub(super) async fn remove(&self, caller: &Caller, cart: &str, product: &str) -> Said<Done> {
        let path = format!("/carts/{cart}/items/{product}");
        let wish = Wish::to(Method::DELETE, path, "take this out of your cart");
        self.ask(&self.orders, caller, wish).await
    }

    pub(super) async fn check_out(
        &self,
        caller: &Caller,
        cart: &str,
        card: &str,
        key: &str,
    ) -> Said<Made> {
        let wish = Wish::to(Method::POST, "/checkout".to_owned(), "finish your order").keyed(key);
        let body = json!({ "cart_id": cart, "card": card });
        self.ask(&self.orders, caller, wish.with(body)).await
    }

    pub(super) async fn order(&self, caller: &Caller, id: &str) -> Said<Order> {
        let wish = Wish::to(Method::GET, format!("/orders/{id}"), "show your order");
        self.ask(&self.orders, caller, wish).await
    }

    pub(super) async fn log_in(&self, caller: &Caller, credentials: Value) -> Said<Session> {
        let wish = Wish::to(Method::POST, "/login".to_owned(), "log you in");
        self.ask(&self.users, caller, wish.with(credentials)).await
    }

    pub(super) async fn register(
        &self,
        caller: &Caller,
        credentials: Value,
        key: &str,
    ) -> Said<Made> {
        let wish = Wish::to(Method::POST, "/users".to_owned(), "register you").keyed(key);
        self.ask(&self.users, caller, wish.with(credentials)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        callee: &Upstream,
        caller: &Caller,
        wish: Wish,
    ) -> Said<T> {
        let doing = wish.doing;
        let call = wish.into_call(caller)?;
        let answer = callee.send(&call).await.map_err(|error| {
            let detail = error.to_string();
            cannot(ApiError::from(error).status(), doing, detail)
        })?;
        let told = String::from_utf8_lossy(&answer.body);
        if answer.status.is_server_error() {
            return Err(cannot(
                answer.status,
                doing,
                told.chars().take(200).collect(),
            ));
        }
        let body = if answer.body.is_empty() {
            &b"{}"[..]
        } else {
            &answer.body
        };
        let unusable =
            |error: serde_json::Error| cannot(StatusCode::BAD_GATEWAY, doing, error.to_string());
        if answer.status.is_success() {
            return serde_json::from_slice(body).map(Ok).map_err(unusable);
        }
        let mut refusal: Refusal = serde_json::from_slice(body).map_err(unusable)?;
        refusal.status = answer.status;
        Ok(Err(refusal))
    }
}

/// What a visitor is told when something cannot be done now; the cause goes to the log.
fn cannot(status: StatusCode, doing: &str, detail: String) -> ApiError {
    let status = match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => status,
        _ => StatusCode::BAD_GATEWAY,
    };
    ApiError::new(status, format!("We cannot {doing} right now."))
        .help("Part of the shop is away. Try again in a few seconds.")
        .detail(detail)
}

/// One thing to ask for.
struct Wish {
    method: Method,
    path: String,
    /// What a visitor would call it, to follow "we cannot".
    doing: &'static str,
    key: Option<String>,
    body: Option<Value>,
}

impl Wish {
    fn to(method: Method, path: String, doing: &'static str) -> Self {
        Self {
            method,
            path,
            doing,
            key: None,
            body: None,
        }
    }

    fn keyed(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    // Whatever changes something carries a key, or is a log-in or a removal, which do no harm twice.
    fn into_call(self, caller: &Caller) -> Result<Call, ApiError> {
        let internal = |error: ::http::Error| ApiError::internal(error.to_string());
        let mut headers = HeaderMap::with_capacity(6);
        caller.context.write_to(&mut headers);
        for (name, value) in [(SHOPPER, &caller.shopper), (IDEMPOTENCY_KEY, &self.key)] {
            if let Some(value) = value {
                let value = HeaderValue::try_from(value).map_err(|error| internal(error.into()))?;
                headers.insert(name, value);
            }
        }
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let path = PathAndQuery::try_from(self.path).map_err(|error| internal(error.into()))?;
        Ok(Call {
            method: self.method,
            path,
            headers,
            body: self
                .body
                .map_or_else(Bytes::new, |body| body.to_string().into()),
            repeatable: true,
        })
    }
}
