//! The answers of the running shop are those that `/openapi.json` promises.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::admin::with_scope;
use crate::client::{Client, Reply};
use crate::shop::Shop;

/// The document, and which of its answers were seen.
struct Contract {
    document: Value,
    seen: BTreeSet<(String, u16)>,
}

impl Contract {
    async fn of(gateway: &Client) -> Self {
        let reply = gateway.get("/openapi.json").await.expect(200);
        let mut contract = Self {
            document: reply.json(),
            seen: BTreeSet::new(),
        };
        assert_eq!(contract.document["openapi"], "3.1.0");
        contract.hold("GET", "/openapi.json", &reply);
        contract
    }

    // Sends a request and holds its answer against the document.
    async fn ask(
        &mut self,
        client: &Client,
        request: (&str, &str),
        body: Value,
        status: u16,
    ) -> Value {
        let (method, path) = request;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let sent = client.send(Method::from_bytes(method.as_bytes()).unwrap(), path, body);
        let reply = sent.await.unwrap().expect(status);
        self.hold(method, path, &reply);
        serde_json::from_str(&reply.text).unwrap_or(Value::Null)
    }

    fn hold(&mut self, method: &str, path: &str, reply: &Reply) {
        let pattern = self.pattern_of(path);
        let status = reply.status.as_u16();
        let pointer = format!("/paths/{}/{}", escaped(&pattern), method.to_lowercase());
        let operation = self.document.pointer(&pointer).unwrap();
        let promised = &operation["responses"][status.to_string()];
        assert!(
            promised.is_object(),
            "{method} {pattern} does not promise {status}"
        );
        let promised = self.resolved(promised);
        for (name, header) in promised["headers"].as_object().unwrap() {
            let schema = self.resolved(header)["schema"].clone();
            let value = reply.headers[name].to_str().unwrap();
            let value = value
                .parse::<u64>()
                .map_or(json!(value), |number| json!(number));
            self.check(
                &schema,
                &value,
                &format!("{method} {pattern} {status} {name}"),
            );
        }
        let content = promised["content"].as_object();
        match content.and_then(|content| content.iter().next()) {
            None => assert_eq!(reply.text, "", "{method} {pattern} {status}"),
            Some((kind, media)) => {
                let sent = reply.headers["content-type"].to_str().unwrap();
                assert!(sent.starts_with(kind.as_str()), "{sent} is not {kind}");
                let document = if kind == "application/json" {
                    reply.json()
                } else {
                    json!(reply.text)
                };
                let place = format!("{method} {pattern} {status}");
                self.check(&media["schema"], &document, &place);
            }
        }
        let operation = operation["operationId"].as_str().unwrap().to_owned();
        self.seen.insert((operation, status));
    }

    // The most exact pattern: one without a name in this place comes before one with it.
    fn pattern_of(&self, path: &str) -> String {
        let path = path.split('?').next().unwrap();
        let fits = |pattern: &&String| {
            let (parts, names) = (path.split('/'), pattern.split('/'));
            parts.clone().count() == names.clone().count()
                && parts
                    .zip(names)
                    .all(|(part, name)| part == name || name.starts_with('{'))
        };
        let patterns = self.document["paths"].as_object().unwrap().keys();
        let found = patterns
            .filter(fits)
            .min_by_key(|pattern| pattern.matches('{').count());
        found
            .unwrap_or_else(|| panic!("{path} is not in the document"))
            .clone()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else {
            return value;
        };
        let pointer = reference.trim_start_matches('#');
        self.document
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{reference} is not there"))
    }

    fn check(&self, schema: &Value, value: &Value, place: &str) {
        // References lead into the document, so it goes along with the schema.
        let root = json!({ "components": self.document["components"], "allOf": [schema] });
        let validator = jsonschema::draft202012::new(&root).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            wrong.is_empty(),
            "{place}: {value} is not as promised: {wrong:#?}"
        );
    }

    // Successes of every operation were seen, and this many answers in all.
    fn all_were_asked(&self, answers: usize) {
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                let seen = (200..300).any(|status| self.seen.contains(&(id.to_owned(), status)));
                assert!(seen, "{method} {path} was never asked with success");
            }
        }
        assert!(
            self.seen.len() >= answers,
            "only {} of {answers}",
            self.seen.len()
        );
    }
}

fn escaped(pattern: &str) -> String {
    pattern.replace('~', "~0").replace('/', "~1")
}

#[tokio::test]
async fn answers_of_every_operation_are_as_the_document_promises() {
    let shop = Shop::open().await;
    let mut contract = Contract::of(&shop.gateway).await;
    browse(&mut contract, &shop.gateway).await;
    accounts(&mut contract, &shop.gateway).await;
    let shopper = shop.gateway.logged_in(1).await;
    let order = buy(&mut contract, &shopper).await;
    refusals(&mut contract, &shop.gateway, &shopper, &order).await;
    change_products(&mut contract, &shop.gateway, &shopper).await;
    for path in ["/health", "/ready", "/metrics"] {
        contract
            .ask(&shop.gateway, ("GET", path), Value::Null, 200)
            .await;
    }
    contract.all_were_asked(35);
    shop.close().await;
}

async fn browse(contract: &mut Contract, gateway: &Client) {
    for (path, status) in [
        ("/products?page=2&size=3", 200),
        ("/products?page=0", 400),
        ("/products/search?q=lamp", 200),
        ("/products/search", 400),
        ("/products/p-0001", 200),
        ("/products/p-9999", 404),
        ("/products/%2e", 400),
    ] {
        contract
            .ask(gateway, ("GET", path), Value::Null, status)
            .await;
    }
}

async fn change_products(contract: &mut Contract, gateway: &Client, shopper: &Client) {
    let admin = with_scope(gateway, "admin").with("idempotency-key", "new");
    let product = json!({ "name": "Lamp", "category": "x", "description": "y", "price": 1 });
    let mut new = product.clone();
    new["stock"] = json!(1);
    let made = contract
        .ask(&admin, ("POST", "/products"), new.clone(), 201)
        .await;
    let place = format!("/products/{}", made["id"].as_str().unwrap());
    for (client, request, body, status) in [
        (&admin, ("POST", "/products"), json!({}), 400),
        (shopper, ("POST", "/products"), new.clone(), 403),
        (gateway, ("POST", "/products"), new, 401),
        (&admin, ("PUT", place.as_str()), product.clone(), 200),
        (&admin, ("PUT", "/products/p-9999"), product, 404),
        (&admin, ("DELETE", place.as_str()), Value::Null, 204),
    ] {
        contract.ask(client, request, body, status).await;
    }
}

async fn accounts(contract: &mut Contract, gateway: &Client) {
    let ada = json!({ "email": "ada@example.com", "password": "analytical engine" });
    let wrong = json!({ "email": "ada@example.com", "password": "difference engine" });
    let huge = json!({ "email": "x".repeat(70_000) });
    for (path, body, status) in [
        ("/users", &ada, 201),
        ("/users", &ada, 409),
        ("/users", &json!({}), 400),
        ("/users", &huge, 413),
        ("/login", &ada, 200),
        ("/login", &wrong, 401),
        ("/login", &json!([]), 400),
    ] {
        contract
            .ask(gateway, ("POST", path), body.clone(), status)
            .await;
    }
    let session = contract.ask(gateway, ("POST", "/login"), ada, 200).await;
    let first = json!({ "refresh_token": session["refresh_token"] });
    for (path, body, status) in [
        ("/token/refresh", &first, 200),
        ("/token/refresh", &first, 401),
        ("/token/refresh", &json!({}), 400),
        ("/logout", &first, 204),
        ("/logout", &json!({}), 400),
    ] {
        contract
            .ask(gateway, ("POST", path), body.clone(), status)
            .await;
    }
}

// The id of an order that was sold.
async fn buy(contract: &mut Contract, shopper: &Client) -> String {
    let made = contract
        .ask(shopper, ("POST", "/carts"), Value::Null, 201)
        .await;
    let cart = format!("/carts/{}", made["id"].as_str().unwrap());
    let items = format!("{cart}/items");
    let piece = |id: &str, quantity: i64| json!({ "product_id": id, "quantity": quantity });
    for (body, status) in [
        (piece("p-0001", 2), 200),
        (piece("p-0002", 1), 200),
        (piece("p-0001", 0), 400),
        (piece("p-9999", 1), 404),
        (piece("p-0001", 100), 409),
    ] {
        contract.ask(shopper, ("POST", &items), body, status).await;
    }
    let removed = format!("{items}/p-0002");
    contract
        .ask(shopper, ("DELETE", &removed), Value::Null, 204)
        .await;
    contract
        .ask(shopper, ("GET", &cart), Value::Null, 200)
        .await;
    let keyed = shopper.with("idempotency-key", "key-1");
    let wish = json!({ "cart_id": made["id"] });
    let declined = json!({ "cart_id": made["id"], "card": "card-declined" });
    let refused = shopper.with("idempotency-key", "key-0");
    contract
        .ask(&refused, ("POST", "/checkout"), declined.clone(), 402)
        .await;
    let sold = contract
        .ask(&keyed, ("POST", "/checkout"), wish.clone(), 200)
        .await;
    contract
        .ask(&keyed, ("POST", "/checkout"), declined, 422)
        .await;
    let other = shopper.with("idempotency-key", "key-2");
    contract.ask(&other, ("POST", "/checkout"), wish, 409).await;
    // Held by the order, the cart takes no changes.
    contract
        .ask(shopper, ("DELETE", &removed), Value::Null, 409)
        .await;
    contract
        .ask(shopper, ("GET", &cart), Value::Null, 200)
        .await;
    sold["order_id"].as_str().unwrap().to_owned()
}

async fn refusals(contract: &mut Contract, gateway: &Client, shopper: &Client, order: &str) {
    let order = format!("/orders/{order}");
    contract
        .ask(shopper, ("GET", &order), Value::Null, 200)
        .await;
    contract
        .ask(gateway, ("GET", &order), Value::Null, 401)
        .await;
    for (request, body, status) in [
        (("GET", "/orders/o-none"), Value::Null, 404),
        (("GET", "/orders/%2e"), Value::Null, 400),
        (("GET", "/carts/c-none"), Value::Null, 404),
        (("DELETE", "/carts/c-none/items/p-0001"), Value::Null, 404),
        (("POST", "/checkout"), json!({ "cart_id": "c-none" }), 400),
    ] {
        contract.ask(shopper, request, body, status).await;
    }
    let keyed = shopper.with("idempotency-key", "key-3");
    let nothing = json!({ "cart_id": "c-none" });
    contract
        .ask(&keyed, ("POST", "/checkout"), nothing, 404)
        .await;
    let huge = json!({ "cart_id": "x".repeat(70_000) });
    contract.ask(&keyed, ("POST", "/checkout"), huge, 413).await;
}

#[tokio::test]
async fn refusals_of_a_gateway_that_reaches_nobody_are_as_the_document_promises() {
    let shop = Shop::open_with(&[("gateway", "RATE_LIMIT_BURST", "2")]).await;
    let mut contract = Contract::of(&shop.gateway).await;
    let shopper = shop.gateway.logged_in(1).await;
    let mut settings = shop.settings();
    settings.insert("RATE_LIMIT_PER_SECOND", "1".to_owned());
    settings.insert("RATE_LIMIT_BURST", "2".to_owned());
    settings.insert("ORDERS_ADDRESS", "127.0.0.1:1".to_owned());
    let gateway = crate::shop::Process::start("gateway", &settings).await;
    let shopper = shopper.to(&gateway.address);
    for status in [503, 503, 429] {
        contract
            .ask(&shopper, ("GET", "/orders/o-1"), Value::Null, status)
            .await;
    }
    shop.close().await;
}
