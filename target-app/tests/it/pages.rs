//! The web page as a browser without script uses it: links, forms, cookies, redirects.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::routing::get;
use http::Method;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{Client, Reply};
use crate::shop::{Process, Settings, Shop, settings};

/// What a browser keeps between pages.
struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn at(client: &Client) -> Self {
        Self {
            client: client.with("accept", "text/html"),
            cookies: BTreeMap::new(),
        }
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Reply {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let client = self.client.with("cookie", &cookies.join("; "));
        let reply = client.send(method, path, body).await.unwrap();
        for set in reply.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(
                set.contains("HttpOnly") && set.contains("SameSite=Lax"),
                "{set}"
            );
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    async fn open(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, String::new()).await
    }

    async fn fill(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send(Method::POST, path, form(fields)).await
    }

    /// Sends a form and opens the page it leads to, whose path comes back with it.
    async fn fill_and_follow(&mut self, path: &str, fields: &[(&str, &str)]) -> (String, Reply) {
        let reply = self.fill(path, fields).await.expect(303);
        let next = location(&reply);
        let page = self.open(&next).await.expect(200);
        (next, page)
    }

    async fn log_in(&mut self) {
        let fields = [
            ("email", "shopper-0001@example.com"),
            ("password", "correct-horse-battery"),
            ("next", "/shop"),
        ];
        self.fill("/shop/log-in", &fields).await.expect(303);
    }

    /// Puts a product into the cart and gives the fields of the check-out form.
    async fn filled_cart(&mut self, product: &str) -> [(&'static str, String); 3] {
        let page = self
            .open(&format!("/shop/products/{product}"))
            .await
            .expect(200);
        let key = field(&page, "key");
        let fields = [("product_id", product), ("quantity", "1"), ("key", &key)];
        let (_, cart) = self.fill_and_follow("/shop/cart/items", &fields).await;
        let card = "card-demo".to_owned();
        [
            ("key", field(&cart, "key")),
            ("cart", field(&cart, "cart")),
            ("card", card),
        ]
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn borrowed<'a>(fields: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

fn location(reply: &Reply) -> String {
    reply.headers["location"].to_str().unwrap().to_owned()
}

/// The value of a hidden field in a page.
fn field(page: &Reply, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .text
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name} in {}", page.text));
    rest.split('"').next().unwrap().to_owned()
}

fn assert_shows(page: &Reply, words: &[&str]) {
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    // A slash in a value is escaped, which changes nothing for a browser.
    let text = page.text.replace("&#x2f;", "/");
    for word in words {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
}

#[tokio::test]
async fn a_purchase_from_search_to_order_status_needs_links_and_forms_only() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    assert_eq!(location(&browser.open("/").await.expect(303)), "/shop");
    let found = browser.open("/shop/search?q=oslo+lamp").await.expect(200);
    assert_shows(&found, &["/shop/products/p-0001", "Oslo Desk Lamp"]);
    let product = browser.open("/shop/products/p-0001").await.expect(200);
    assert_shows(
        &product,
        &["In stock", "/shop/log-in?next=/shop/products/p-0001"],
    );

    let wrong = [
        ("email", "shopper-0001@example.com"),
        ("password", "not this one"),
        ("next", "/shop"),
    ];
    let refused = browser.fill("/shop/log-in", &wrong).await.expect(401);
    assert_shows(&refused, &["role=\"alert\"", "shopper-0001@example.com"]);
    assert!(!refused.text.contains("not this one"), "{}", refused.text);

    browser.log_in().await;
    let fields = browser.filled_cart("p-0001").await;
    let cart = browser.open("/shop/cart").await.expect(200);
    assert_shows(
        &cart,
        &[
            "Oslo Desk Lamp",
            "Total",
            "<span class=\"count\" aria-hidden=\"true\">1</span>",
        ],
    );

    let (at, order) = browser
        .fill_and_follow("/shop/check-out", &borrowed(&fields))
        .await;
    assert!(at.starts_with("/shop/orders/o-"), "{at}");
    assert_shows(
        &order,
        &["Thank you for your order", "Confirmed", "Oslo Desk Lamp"],
    );
    let empty = browser.open("/shop/cart").await.expect(200);
    assert_shows(&empty, &["Your cart is empty"]);
    shop.close().await;
}

#[tokio::test]
async fn somebody_new_registers_and_is_led_back_to_the_product() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    let page = browser
        .open("/shop/register?next=/shop/products/p-0007")
        .await
        .expect(200);
    let (key, next) = (
        field(&page, "key"),
        field(&page, "next").replace("&#x2f;", "/"),
    );
    let fields = [
        ("email", "ada@example.com"),
        ("password", "long enough"),
        ("key", &key),
        ("next", &next),
    ];
    let (at, product) = browser.fill_and_follow("/shop/register", &fields).await;
    assert_eq!(at, "/shop/products/p-0007");
    assert_shows(&product, &["Put into cart", "Log out"]);
    browser.fill("/shop/log-out", &[]).await.expect(303);
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    let again = [
        ("email", "ada@example.com"),
        ("password", "long enough"),
        ("key", "another"),
        ("next", "/shop"),
    ];
    let taken = browser.fill("/shop/register", &again).await.expect(409);
    assert_shows(&taken, &["is registered already"]);
    shop.close().await;
}

#[tokio::test]
async fn a_form_sent_twice_at_once_buys_once() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    browser.log_in().await;
    let fields = browser.filled_cart("p-0002").await;
    let fields = borrowed(&fields);
    let mut other = Browser {
        client: browser.client.clone(),
        cookies: browser.cookies.clone(),
    };
    let (one, two) = tokio::join!(
        browser.fill("/shop/check-out", &fields),
        other.fill("/shop/check-out", &fields)
    );
    let order = location(&one.expect(303));
    assert_eq!(order, location(&two.expect(303)));
    // Another form for the same cart, as a second tab would hold it.
    let tab = [("key", "another-key"), fields[1], fields[2]];
    assert_eq!(
        location(&other.fill("/shop/check-out", &tab).await.expect(303)),
        order
    );
    let book = shop.bank.get("/audit").await.expect(200).text;
    assert_eq!(book.matches("\"charge\"").count(), 1, "{book}");
    shop.close().await;
}

#[tokio::test]
async fn a_declined_card_leaves_the_cart_and_says_why() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    browser.log_in().await;
    let mut fields = browser.filled_cart("p-0003").await;
    fields[2].1 = "card-declined".to_owned();
    let refused = browser
        .fill("/shop/check-out", &borrowed(&fields))
        .await
        .expect(402);
    assert_shows(
        &refused,
        &["role=\"alert\"", "was declined", "Order and pay"],
    );
    let key = field(&refused, "key");
    assert_ne!(key, fields[0].1, "another purchase needs another key");
    let (cart, again) = (
        fields[1].1.clone(),
        [
            ("key", key),
            ("cart", fields[1].1.clone()),
            ("card", "card-demo".to_owned()),
        ],
    );
    assert_eq!(field(&refused, "cart"), cart);
    let (_, order) = browser
        .fill_and_follow("/shop/check-out", &borrowed(&again))
        .await;
    assert_shows(&order, &["Thank you for your order"]);
    shop.close().await;
}

#[tokio::test]
async fn who_had_a_session_is_told_that_it_ended() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let key = EncodingKey::from_secret(b"only-for-these-tests");
    for (exp, wanted) in [(now - 60, false), (now + 60, true)] {
        let token = encode(
            &Header::default(),
            &json!({ "sub": "s-0001", "exp": exp }),
            &key,
        )
        .unwrap();
        browser.cookies.insert("session".to_owned(), token);
        let cart = browser.open("/shop/cart").await;
        if wanted {
            assert_shows(&cart.expect(200), &["Log out"]);
        } else {
            let next = location(&cart.expect(303));
            let page = browser.open(&next).await.expect(200);
            assert_shows(
                &page,
                &[
                    "Your session has ended",
                    "name=\"next\" value=\"/shop/cart\"",
                ],
            );
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    browser.log_in().await;
    let fields = browser.filled_cart("p-0004").await;
    let here = format!("http://{}", shop.gateway.address());
    let plain = browser.client.clone();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
    ] {
        browser.client = plain.with(name, value);
        let refused = browser
            .fill("/shop/check-out", &borrowed(&fields))
            .await
            .expect(403);
        assert_shows(&refused, &["was not sent from a page of this shop"]);
    }
    browser.client = plain.with("origin", &here);
    let (_, order) = browser
        .fill_and_follow("/shop/check-out", &borrowed(&fields))
        .await;
    assert_shows(&order, &["Thank you for your order"]);
    shop.close().await;
}

#[tokio::test]
async fn wrong_input_gets_a_page_that_says_what_to_do() {
    let shop = Shop::open().await;
    let mut browser = Browser::at(&shop.gateway);
    for (path, status, words) in [
        ("/shop/nothing/here", 404, "There is no such page."),
        ("/shop/products/p-9999", 404, "There is no product p-9999."),
        (
            "/shop/products/a%20b",
            400,
            "An id in the path cannot be used.",
        ),
        ("/shop?page=0", 400, "Page must be a whole number"),
        ("/shop/orders/o-1", 303, ""),
    ] {
        let page = browser.open(path).await.expect(status);
        if status != 303 {
            assert_shows(&page, &[words, "Back to the products"]);
        }
    }
    browser.log_in().await;
    let page = browser.open("/shop/orders/o-1").await.expect(404);
    assert_shows(&page, &["You have no order o-1."]);
    let last = browser.open("/shop?page=9").await.expect(200);
    assert_shows(&last, &["/shop?page=8"]);
    assert!(!last.text.contains("/shop?page=10"), "{}", last.text);
    shop.close().await;
}

/// The page alone, with callees of the test's choice.
async fn alone(addresses: &[(&'static str, String)]) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted: Settings = settings(folder.path());
    for name in ["USERS_ADDRESS", "CATALOG_ADDRESS", "ORDERS_ADDRESS"] {
        wanted.insert(name, nobody().await);
    }
    wanted.extend(addresses.iter().cloned());
    Process::start("frontend", &wanted).await
}

/// An address where nobody answers.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_lost_role_takes_only_its_own_part_of_the_page_with_it() {
    let shop = Shop::open().await;
    let there = shop.settings();
    let page = alone(&[("CATALOG_ADDRESS", there["CATALOG_ADDRESS"].clone())]).await;
    let mut browser = Browser::at(&page.client.with("x-shopper-id", "s-0001"));
    browser.cookies.insert("cart".to_owned(), "c-1".to_owned());
    assert_shows(
        &browser.open("/shop").await.expect(200),
        &["Oslo Desk Lamp"],
    );
    assert_shows(
        &browser.open("/shop/products/p-0001").await.expect(200),
        &["Put into cart"],
    );
    let cart = browser.open("/shop/cart").await.expect(503);
    assert_shows(
        &cart,
        &[
            "We cannot show your cart right now.",
            "Try again",
            "href=\"/shop/cart\"",
        ],
    );
    let fields = [("key", "k-1"), ("cart", "c-1"), ("card", "card-demo")];
    let again = browser.fill("/shop/check-out", &fields).await.expect(503);
    assert_shows(
        &again,
        &[
            "you will not be charged twice",
            "name=\"key\" value=\"k-1\"",
        ],
    );

    let page = alone(&[("ORDERS_ADDRESS", there["ORDERS_ADDRESS"].clone())]).await;
    let list = Browser::at(&page.client).open("/shop").await.expect(503);
    assert_shows(&list, &["We cannot show the products right now."]);
    shop.close().await;
}

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let hostile = "<script>alert(1)</script> \"onload='x' {{ 7 * 7 }} &amp; \u{202e}";
    let item = json!({
        "id": "p-1\"><img src=x>", "name": hostile, "category": "</a><b>", "price": 100,
        "description": hostile, "stock": 5,
    });
    let (one, all) = (item.clone(), json!({ "items": [item] }));
    let catalog = axum::Router::new()
        .route("/products", get(async move || Json(all)))
        .route("/products/{id}", get(async move || Json(one)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(axum::serve(listener, catalog).into_future());
    let page = alone(&[("CATALOG_ADDRESS", address)]).await;
    let mut browser = Browser::at(&page.client);
    for path in ["/shop", "/shop/products/p-1"] {
        let shown = browser.open(path).await.expect(200);
        assert_shows(
            &shown,
            &[
                "&lt;script&gt;alert(1)&lt;/script&gt;",
                "{{ 7 * 7 }} &amp;amp;",
            ],
        );
        for raw in ["<script", "<img", "<b>", "\"onload"] {
            assert!(!shown.text.contains(raw), "`{raw}` in {}", shown.text);
        }
    }
    serving.abort();
}

#[tokio::test]
async fn without_a_frontend_the_gateway_says_where_the_api_is() {
    let shop = Shop::open().await;
    let mut alone = shop.settings();
    alone.remove("FRONTEND_ADDRESS");
    let gateway = Process::start("gateway", &alone).await;
    let reply = gateway.client.get("/").await.expect(200);
    assert!(reply.text_at("/help").contains("GET /products"));
    gateway.client.get("/shop").await.expect(404);

    let mut lost = shop.settings();
    lost.insert("FRONTEND_ADDRESS", nobody().await);
    let gateway = Process::start("gateway", &lost).await;
    let reply = gateway.client.get("/shop").await.expect(503);
    assert!(reply.text.contains("Reload this page"), "{}", reply.text);
    gateway.client.get("/products").await.expect(200);
    shop.close().await;
}
